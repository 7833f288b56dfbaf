"""The golden machine that tests resume, made by a server beside the tests that can do without it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from tests.e2e.support import Client, machines, until
from tests.support.processes import put_first
from tests.support.server import ACCOUNT, OWNER, PASSWORD, servers

PATIENCE = 3600
"""Seconds that the making may take at most."""


class NotWanted(Exception):
    """The tests are over; nobody waits for the golden machine any more."""


def make_golden(images: Path, unwanted: Event) -> None:
    """Have a server make the golden machine of a folder's image, unless it is there.

    Of several test processes one does it, while the others wait for their turn and find it made.

    Args:
        images: The folder of images; the golden machines are kept beside it.
        unwanted: Set to end the waiting.

    Raises:
        NotWanted: `unwanted` was set before there was one.
    """
    with _alone(images.parent / "tests.lock", unwanted), servers() as make:
        server = make(images, **ACCOUNT)
        with Client(server.url) as client:
            client.sign_in(OWNER, PASSWORD)

            def made() -> bool:
                for pid in machines(f"{server.home}/"):
                    put_first(pid)
                return _is_made(client, unwanted)

            until(made, PATIENCE, "the golden machine is made", every=1)
    assert any((images.parent / "goldens").iterdir()), "a fake one resumes nothing"


def _is_made(client: Client, unwanted: Event) -> bool:
    if unwanted.is_set():
        raise NotWanted
    listed = client.get("/api/images")["items"]
    return any(golden["status"] == "ready" for image in listed for golden in image["goldens"])


@contextmanager
def _alone(path: Path, unwanted: Event) -> Iterator[None]:
    with path.open("w") as lock:
        while not _taken(lock.fileno()):
            if unwanted.wait(1):
                raise NotWanted
        yield


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
