"""The server dies or stops while it makes a golden machine: none is left, none is doubled."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Client, until
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server
from tests.support.tiny_guest import make_current_image

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MOMENTS = [0.0, 0.1, 0.5]
"""Seconds after the making of the golden machine was announced at which the server dies."""


@pytest.fixture
def server(make_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server whose golden image boots in a second, and is never warm."""
    images = tmp_path / "images"
    images.mkdir()
    make_current_image(images)
    return make_server(
        images,
        **ACCOUNT,
        LEBUREAU_TIER_FREE_MEMORY=str(128 << 20),
        LEBUREAU_TIER_FREE_DISK=str(1 << 30),
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_half_made_is_destroyed_and_made_anew(server: Server, moment: float) -> None:
    _until_it_is_made(server)
    time.sleep(moment)
    server.kill()
    before = _golden_machines(server)
    server.start()
    _until_it_is_made(server)
    until(lambda: set(_golden_machines(server)) - set(before), 30, "another one is made")
    assert len(_golden_machines(server)) == 1
    server.stop()
    assert _golden_machines(server) == []
    assert list((server.home / "desktops").iterdir()) == []


def _until_it_is_made(server: Server) -> None:
    with Client(server.url) as client:
        client.sign_in(OWNER, PASSWORD)
        until(lambda: _golden(client).get("status") == "making", 30, "the golden machine is made")


def _golden(client: Client) -> dict[str, Any]:
    (image,) = client.get("/api/images")["items"]
    return next((each for each in image["goldens"] if each["tier"] == "free"), {})


def _golden_machines(server: Server) -> list[str]:
    """The PIDs of the QEMU processes that make a golden machine for this server."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"guest=golden-free" in command and bytes(server.home) in command:
            found.append(entry.name)
    return found
