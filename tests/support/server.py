"""The server as the README starts it, for tests: on a home of its own, taken away with its machines."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.support import machines, until
from tests.support.building import ROOT

OWNER = "owner@example.com"
PASSWORD = "correct horse battery"
_ENVIRONMENT = dict(os.environ)
"""Of before the first test: some servers start beside tests that change it for themselves."""

ACCOUNT = {"LEBUREAU_ADMIN_EMAIL": OWNER, "LEBUREAU_ADMIN_PASSWORD": PASSWORD}


@dataclass
class Server:
    """The server as the README starts it, on a home of its own.

    Attributes:
        home: LEBUREAU_HOME; short, since Unix socket paths are.
        output: What it printed.
    """

    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.home / "server.out").read_text()

    def start(self) -> None:
        with (self.home / "server.out").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lebureau_app", "serve"],
                cwd=ROOT,
                env={
                    **_ENVIRONMENT,
                    "LEBUREAU_HOME": str(self.home),
                    "LEBUREAU_PORT": str(self.port),
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._answers, 60, "the server answers")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def setup_link(self) -> str:
        found = re.search(r"http\S+/setup\S*", self.output)
        assert found, self.output
        return found[0]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def servers() -> Iterator[Callable[..., Server]]:
    """Something that makes servers, which are taken away with their machines at the end.

    It takes a folder of images, if there is one, and settings. Goldens are kept beside the images,
    on the same file system as the server's home.
    """
    made: list[Server] = []

    def make(images: Path | None = None, **environment: str) -> Server:
        place = images.parent if images else None
        home = Path(tempfile.mkdtemp(prefix="lb-", dir=place))
        server = Server(home, free_port(), environment)
        made.append(server)
        if images:
            goldens = images.parent / "goldens"
            goldens.mkdir(exist_ok=True)
            (server.home / "images").symlink_to(images)
            (server.home / "goldens").symlink_to(goldens)
        server.start()
        return server

    try:
        yield make
    finally:
        for server in made:
            server.stop()
            _end_machines(server.home)
            shutil.rmtree(server.home, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _end_machines(home: Path) -> None:
    """End the machines of this home that are left."""
    for pid in machines(f"{home}/"):
        os.kill(pid, 9)
    time.sleep(0.1)
