"""A stopped desktop goes over to another image with what is its own, and back: on real machines.

The other image is the golden image under another name, which is all that tells it apart.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image.recipe import PROFILES, image_id
from tests.e2e.support import Client, machines, until
from tests.support.server import ACCOUNT, Server

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(1500)]

OTHER = "standard-trixie-000000000000"
SOON = 300
OWN = "cat ~/plan.txt; stat -c '%a %U' ~/plan.txt; cat /etc/machine-id; hostname"
OUTSIDE = "ls /opt/outside"


@pytest.fixture(scope="module")
def two_images(golden_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The golden image in a folder of images, once more under another name."""
    current = golden_images / image_id(PROFILES["standard"])
    other = golden_images / OTHER
    other.mkdir(exist_ok=True)
    for file in current.iterdir():
        if file.name != "manifest.json" and not (other / file.name).exists():
            os.link(file, other / file.name)
    manifest = json.loads((current / "manifest.json").read_text())
    older = manifest | {"id": OTHER, "created": "2020-01-01T00:00:00Z"}
    (other / "manifest.json").write_text(json.dumps(older))
    yield golden_images
    for file in other.iterdir():
        file.unlink()
    other.rmdir()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], two_images: Path) -> Server:
    """It boots all the more: there need be no golden machine yet, and the tests' own is being made."""
    return make_server(two_images, **ACCOUNT, LEBUREAU_RESUME="false")


def test_what_is_its_own_is_carried_over(
    client: Client, server: Server, found: dict[str, Any]
) -> None:
    desktop_id = client.post("/api/desktops", {"name": "moved", "agent": "none"})["id"]
    found["desktop"] = desktop_id
    client.until_status(desktop_id, "running", SOON)
    client.exec(desktop_id, "echo plan > ~/plan.txt; chmod 640 ~/plan.txt; sudo touch /opt/outside")
    before = found["own"] = client.exec(desktop_id, OWN)["stdout"]
    client.post(f"/api/desktops/{desktop_id}/stop")
    client.until_status(desktop_id, "stopped", SOON)

    path = f"/api/desktops/{desktop_id}"
    client.call("PATCH", path, json={"image": OTHER, "snapshot": True})
    until(lambda: client.desktop(desktop_id)["task"] is None, SOON, "it is on the other image")
    upgraded = client.desktop(desktop_id)
    assert (upgraded["status"], upgraded["image"]) == ("stopped", OTHER), upgraded
    assert machines(desktop_id) == []
    kept = {file.name for file in (server.home / "desktops" / desktop_id).iterdir()}
    assert not kept & {"former.qcow2", "upgrading.json"}

    client.post(f"{path}/start")
    client.until_status(desktop_id, "running", SOON)
    assert client.exec(desktop_id, OWN)["stdout"] == before
    assert client.exec(desktop_id, OUTSIDE)["exitCode"] != 0


def test_the_snapshot_before_it_is_its_undo(
    client: Client, desktop_id: str, found: dict[str, Any]
) -> None:
    path = f"/api/desktops/{desktop_id}"
    (undo,) = client.get(f"{path}/snapshots")["items"]
    client.post(f"{path}/snapshots/{undo['id']}/restore")
    until(lambda: client.desktop(desktop_id)["task"] is None, SOON, "it is restored")
    assert client.desktop(desktop_id)["image"] == image_id(PROFILES["standard"])
    client.post(f"{path}/start")
    client.until_status(desktop_id, "running", SOON)
    assert client.exec(desktop_id, OWN)["stdout"] == found["own"]
    assert client.exec(desktop_id, OUTSIDE)["exitCode"] == 0
