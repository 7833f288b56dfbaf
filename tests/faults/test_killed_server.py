"""The server is killed in the middle of its work: nothing is stuck, doubled or left over."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.support import Client, machines, until
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server
from tests.support.tiny_guest import make_current_image

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MOMENTS = [0.0, 0.03, 0.1, 0.3]
"""Seconds after the request at which the server dies; a machine is made and started in 0.3 s."""


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server whose golden image is a guest that boots in a second and never answers over SSH."""
    images = tmp_path_factory.mktemp("images")
    make_current_image(images)
    return make_server(
        images,
        **ACCOUNT,
        LEBUREAU_RESUME="false",
    )


@pytest.fixture
def client(server: Server) -> Client:
    client = Client(server.url)
    client.sign_in(OWNER, PASSWORD)
    return client


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_creating_and_while_destroying(
    server: Server, client: Client, moment: float
) -> None:
    desktop = client.post("/api/desktops", {"name": f"at-{int(moment * 1000)}"})
    path = f"/api/desktops/{desktop['id']}"
    die_and_come_back(server, moment)
    until(lambda: _step(client, path) == "trust", 30, "the creation goes on")
    assert [each["kind"] for each in client.get(f"{path}/operations")["items"]] == ["create"]
    assert len(machines(desktop["id"])) == 1

    client.call("DELETE", path, status=202)
    die_and_come_back(server, moment)
    until(lambda: client.get(path)["status"] == "destroyed", 30, "the destruction goes on")
    assert machines(desktop["id"]) == []
    assert not (server.home / "desktops" / desktop["id"]).exists()
    assert not (server.home / "run" / desktop["id"]).exists()


def test_killed_while_stopping(server: Server, client: Client) -> None:
    desktop = client.post("/api/desktops", {"name": "stopping"})
    path = f"/api/desktops/{desktop['id']}"
    until(lambda: _step(client, path) == "trust", 30, "the machine is on")
    client.post(f"{path}/stop")
    die_and_come_back(server, 0.1)
    client.until_status(desktop["id"], "stopped", 30)
    assert machines(desktop["id"]) == []
    operations = client.get(f"{path}/operations")["items"]
    assert [(each["kind"], each["status"]) for each in operations] == [
        ("stop", "done"),
        ("create", "cancelled"),
    ]


def die_and_come_back(server: Server, moment: float) -> None:
    time.sleep(moment)
    server.kill()
    server.start()


def _step(client: Client, path: str) -> Any:
    return (client.get(path)["progress"] or {}).get("step")
