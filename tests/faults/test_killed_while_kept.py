"""The server is killed while it keeps, wakes, restores or doubles a real desktop.

Whatever the moment, the next server carries on: one machine a desktop, no process beside them, and
what the person wrote is there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import OWNER, PASSWORD, Server
from tests.e2e.support import Client, machines, until
from tests.faults.test_killed_server import die_and_come_back

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(600)]

MOMENTS = [0.1, 0.6, 1.5]
"""Seconds after the request at which the server dies; each change takes one to three."""

SOON = 150


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], golden_machines: Path) -> Server:
    return make_server(
        golden_machines, LEBUREAU_ADMIN_EMAIL=OWNER, LEBUREAU_ADMIN_PASSWORD=PASSWORD
    )


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    client = Client(server.url)
    client.sign_in(OWNER, PASSWORD)
    return client


@pytest.fixture(scope="module")
def desktop_id(client: Client) -> str:
    desktop = client.post("/api/desktops", {"name": "kept", "agent": "none"})
    client.until_status(desktop["id"], "running", SOON)
    client.exec(desktop["id"], "echo precious > ~/file; echo 0 > /dev/shm/count; sync")
    return desktop["id"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_being_born(server: Server, client: Client, moment: float) -> None:
    desktop = client.post("/api/desktops", {"name": f"born-{int(moment * 10)}", "agent": "none"})
    die_and_come_back(server, moment)
    client.until_status(desktop["id"], "running", SOON)
    assert len(machines(desktop["id"])) == 1
    assert client.exec(desktop["id"], "hostname")["stdout"] == desktop["name"] + "\n"
    client.call("DELETE", f"/api/desktops/{desktop['id']}", status=202)
    until(lambda: client.desktop(desktop["id"])["status"] == "destroyed", 60, "it is gone")


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_hibernating_and_while_waking(
    server: Server, client: Client, desktop_id: str, moment: float
) -> None:
    path = f"/api/desktops/{desktop_id}"
    client.post(f"{path}/hibernate")
    die_and_come_back(server, moment)
    client.until_status(desktop_id, "hibernated", SOON)
    assert machines(desktop_id) == []

    client.post(f"{path}/start")
    die_and_come_back(server, moment)
    client.until_status(desktop_id, "running", SOON)
    _must_be_whole(server, client, desktop_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_a_snapshot_is_taken_and_restored(
    server: Server, client: Client, desktop_id: str, moment: float
) -> None:
    path = f"/api/desktops/{desktop_id}/snapshots"
    snapshot = client.post(path, {"name": f"at {moment}"})
    die_and_come_back(server, moment)
    until(lambda: _listed(client, path, snapshot)["status"] == "ready", SOON, "it is kept")
    _must_be_whole(server, client, desktop_id)

    client.exec(desktop_id, "rm ~/file; sync")
    client.post(f"{path}/{snapshot['id']}/restore")
    die_and_come_back(server, moment)
    client.until_status(desktop_id, "running", SOON)
    _must_be_whole(server, client, desktop_id)
    client.call("DELETE", f"{path}/{snapshot['id']}", status=204)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_forking(
    server: Server, client: Client, desktop_id: str, moment: float
) -> None:
    asked = {"count": 1, "namePrefix": f"fork-{int(moment * 10)}"}
    (fork,) = client.post(f"/api/desktops/{desktop_id}/fork", asked)["items"]
    die_and_come_back(server, moment)
    client.until_status(fork["id"], "running", SOON)
    _must_be_whole(server, client, desktop_id)
    assert client.exec(fork["id"], "cat ~/file; hostname")["stdout"].split() == [
        "precious",
        fork["name"],
    ]
    client.call("DELETE", f"/api/desktops/{fork['id']}", status=202)
    until(lambda: client.desktop(fork["id"])["status"] == "destroyed", 60, "the fork is gone")


def _must_be_whole(server: Server, client: Client, desktop_id: str) -> None:
    """One machine, and nothing lost: the file on its disk, and what was only in its memory."""
    client.until_light(desktop_id, "ssh", SOON)
    assert len(machines(desktop_id)) == 1
    living = {each["id"] for each in client.get("/api/desktops")["items"]}
    assert len(machines(f"{server.home}/")) <= len(living)
    kept = client.exec(desktop_id, "cat ~/file /dev/shm/count")
    assert kept["stdout"] == "precious\n0\n", kept


def _listed(client: Client, path: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in client.get(path)["items"] if each["id"] == snapshot["id"])
