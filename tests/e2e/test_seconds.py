"""Born in seconds, put to sleep, woken, brought back and doubled: on real machines.

The tests of this module follow each other on one desktop and its forks, as a person would.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.looking import canvas_image, shows_the_panel, sign_in
from tests.e2e.support import Client, machines, until
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(1500)]

SOON = 300
EDITOR = "DISPLAY=:1 xdotool search --name notes.txt"
IDENTITY = (
    "cat /etc/machine-id; hostname; cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub;"
    " sudo cat /run/lebureau/door.secret | sha256sum | head -c 64; echo; sudo jq -r .gateway.token /run/lebureau/keys.json"
)


@pytest.fixture(scope="module")
def server(
    make_server: Callable[..., Server], golden_machines: Path, model: dict[str, Any]
) -> Server:
    server = make_server(golden_machines, **ACCOUNT)
    with Client(server.url) as client:
        client.sign_in(OWNER, PASSWORD)
        client.keep_model_key(model["url"], "sk-seconds-1")
    return server


def test_a_new_desktop_resumes_the_golden_machine(
    page: Page, client: Client, found: dict[str, Any]
) -> None:
    sign_in(page)
    page.click("#new-computer")
    page.fill("#new-name", "first")
    page.keyboard.press("Enter")
    listed = until(lambda: client.get("/api/desktops")["items"], 15, "the desktop is listed")
    desktop_id = found["desktop"] = listed[0]["id"]
    page.goto(f"/desktop/{desktop_id}/")
    expect(page.locator(".lb-screen .lb-still")).to_be_attached(timeout=15_000)
    client.until_light(desktop_id, "screen", SOON)
    desktop = client.until_status(desktop_id, "running", SOON)
    assert desktop["origin"] == "golden"
    assert desktop["originNote"] is None
    expect(page.locator(".lb-screen canvas")).to_be_visible(timeout=30_000)
    until(lambda: shows_the_panel(canvas_image(page)), 60, "the panel is in the canvas")


def test_nothing_of_the_golden_machine_is_left_in_it(client: Client, desktop_id: str) -> None:
    done = client.exec(desktop_id, "hostname; date +%s; sudo cat /run/lebureau/keys.json")
    hostname, now, keys = done["stdout"].split("\n", 2)
    assert hostname == "first"
    assert abs(int(now) - time.time()) < 30
    assert "sk-seconds-1" in keys


def test_the_agent_of_a_resumed_desktop_answers_twice(client: Client, desktop_id: str) -> None:
    for said in ("first words", "second words"):
        run = client.ask(desktop_id, said)
        assert (run["status"], run["reply"]) == ("done", f"ECHO: {said}"), run


def test_hibernated_and_woken_by_a_message(page: Page, client: Client, desktop_id: str) -> None:
    client.exec(desktop_id, "echo before > ~/notes.txt")
    client.exec(desktop_id, "DISPLAY=:1 setsid -f mousepad ~/notes.txt >/dev/null 2>&1")
    until(lambda: client.exec(desktop_id, EDITOR)["stdout"], 60, "the editor is open")
    boot = client.exec(desktop_id, "cat /proc/sys/kernel/random/boot_id")["stdout"]

    client.post(f"/api/desktops/{desktop_id}/hibernate")
    client.until_status(desktop_id, "hibernated", SOON)
    assert machines(desktop_id) == []

    run = client.ask(desktop_id, "wake up")
    assert run["reply"] == "ECHO: wake up", run
    assert client.desktop(desktop_id)["origin"] == "hibernation"
    assert client.exec(desktop_id, EDITOR)["stdout"]
    assert client.exec(desktop_id, "cat /proc/sys/kernel/random/boot_id")["stdout"] == boot
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    expect(page.locator(".lb-screen canvas")).to_be_visible(timeout=30_000)


def test_a_restored_snapshot_brings_the_file_and_the_editor_back(
    client: Client, desktop_id: str
) -> None:
    path = f"/api/desktops/{desktop_id}/snapshots"
    snapshot = client.post(path, {"name": "as it was"})
    until(lambda: _snapshot(client, path, snapshot["id"])["status"] == "ready", SOON, "it is kept")
    client.exec(desktop_id, "echo after > ~/notes.txt; DISPLAY=:1 pkill mousepad; sync")
    assert client.exec(desktop_id, "cat ~/notes.txt")["stdout"] == "after\n"

    client.post(f"{path}/{snapshot['id']}/restore")
    client.until_status(desktop_id, "running", SOON)
    assert client.exec(desktop_id, "cat ~/notes.txt")["stdout"] == "before\n"
    assert client.exec(desktop_id, EDITOR)["stdout"]

    kept = client.get(path)["items"]
    undo = next(each for each in kept if each["kind"] == "automatic")
    client.post(f"{path}/{undo['id']}/restore")
    client.until_status(desktop_id, "running", SOON)
    assert client.exec(desktop_id, "cat ~/notes.txt")["stdout"] == "after\n"


def test_two_forks_answer_and_are_not_each_other(
    client: Client, desktop_id: str, found: dict[str, Any]
) -> None:
    forks = client.post(f"/api/desktops/{desktop_id}/fork", {"count": 2, "namePrefix": "twin"})
    ids = found["forks"] = [fork["id"] for fork in forks["items"]]
    for fork_id in ids:
        forked = client.until_status(fork_id, "running", SOON)
        assert forked["parentId"] == desktop_id
        assert client.exec(fork_id, "cat ~/notes.txt")["stdout"] == "after\n"
        assert client.ask(fork_id, "who are you?")["reply"] == "ECHO: who are you?"
    identities = [client.exec(each, IDENTITY)["stdout"].split() for each in (desktop_id, *ids)]
    for facts in zip(*identities, strict=True):
        assert len(set(facts)) == len(identities), facts
    assert client.exec(desktop_id, "cat ~/notes.txt")["stdout"] == "after\n"


def test_nothing_is_left(client: Client, server: Server, found: dict[str, Any]) -> None:
    for each in (found["desktop"], *found.get("forks", [])):
        client.call("DELETE", f"/api/desktops/{each}", status=202)
        until(lambda each=each: client.desktop(each)["status"] == "destroyed", 60, "it is gone")
    assert machines(f"{server.home}/") == []
    assert list((server.home / "desktops").iterdir()) == []


def _snapshot(client: Client, path: str, snapshot_id: str) -> dict[str, Any]:
    listed = client.get(path)["items"]
    snapshot = next(each for each in listed if each["id"] == snapshot_id)
    assert snapshot["status"] != "failed", snapshot
    return snapshot
