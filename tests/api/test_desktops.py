"""Desktops over REST: shapes, lists, changes, channels."""

import asyncio

import pytest

from lebureau_app.models import CHANNELS
from lebureau_app.services import images
from tests.conftest import make_desktop, set_desktop

FIELDS = {
    *("id", "name", "workspaceId", "tier", "status", "task", "statusMessage", "progress"),
    *("readiness", "provider", "image", "agent", "vcpus", "memory", "disk", "activity"),
    *("needsAttention", "labels", "createdAt", "startedAt", "lastActiveAt", "runningSeconds"),
    *("usage", "providerKeys", "origin", "originNote", "parentId", "hibernateAfter"),
    *("hibernatesAt", "awakeUntil", "storage"),
}


async def test_creating_answers_at_once_with_the_desktop(as_, people):
    body = {"name": "dev-agent-01", "labels": {"team": "ci"}, "agent": "none"}
    answer = await as_("owner").post("/api/desktops", json=body)
    assert answer.status_code == 202
    desktop = answer.json()
    assert desktop.keys() == FIELDS
    assert (desktop["status"], desktop["task"]) == ("provisioning", "creating")
    assert desktop["readiness"].keys() == set(CHANNELS)
    assert desktop["workspaceId"] == people.workspace_id
    journal = await as_("viewer").get(f"/api/desktops/{desktop['id']}/operations")
    assert [each["kind"] for each in journal.json()["items"]] == ["create"]
    taken = await as_("owner").post("/api/desktops", json=body)
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"tier": "huge"}, "tier"),
        ({"agent": "x"}, "agent"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": []}, "labels"),
        ({"image": "../../etc"}, "image"),
        ({"provider": "proxmox"}, "provider"),
        ({"providerKeys": ["pk_" + "0" * 26]}, "providerKeys"),
        ({"workspaceId": "x"}, "workspaceId"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_wrong_values_are_named(as_, people, body, field):
    answer = await as_("owner").post("/api/desktops", json=body)
    assert answer.status_code == 422, answer.text
    assert any(name.split(".")[0] == field for name in answer.json()["error"]["fields"])


async def test_creating_twice_with_one_key_creates_once(as_, people):
    client = as_("owner")
    headers = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(
        *(client.post("/api/desktops", json={"tier": "free"}, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} <= {202, 409}
    again = await client.post("/api/desktops", json={"tier": "free"}, headers=headers)
    assert again.status_code == 202
    listed = (await client.get("/api/desktops")).json()["items"]
    assert [each["id"] for each in listed] == [again.json()["id"]]
    other = await client.post("/api/desktops", json={"tier": "pro"}, headers=headers)
    assert other.json()["error"]["code"] == "idempotency_conflict"


async def test_lists_have_pages_and_filters(as_, people):
    for number in range(5):
        await make_desktop(people.workspace_id, f"d-{number}", labels={"n": str(number)})
    await make_desktop(people.foreign_workspace_id, "foreign")
    client = as_("viewer")
    names, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/desktops", params=query)).json()
        names += [each["name"] for each in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert names == ["d-4", "d-3", "d-2", "d-1", "d-0"]
    found = await client.get("/api/desktops?label=n:3")
    assert [each["name"] for each in found.json()["items"]] == ["d-3"]
    found = await client.get("/api/desktops?q=D-2&status=running")
    assert [each["name"] for each in found.json()["items"]] == ["d-2"]


async def test_a_destroyed_desktop_is_read_by_its_id_and_refuses_the_rest(as_, people):
    desktop = await make_desktop(people.workspace_id, status="destroyed")
    client, path = as_("owner"), f"/api/desktops/{desktop.id}"
    assert (await client.get(path)).json()["status"] == "destroyed"
    assert (await client.get("/api/desktops")).json()["items"] == []
    listed = (await client.get("/api/desktops?status=destroyed")).json()["items"]
    assert [each["id"] for each in listed] == [desktop.id]
    for method, rest, body in (
        ("POST", "/start", None),
        ("POST", "/chat", {"message": "x"}),
        ("POST", "/exec", {"command": "x"}),
        ("POST", "/tickets", {"channel": "vnc"}),
        ("GET", "/screenshot", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
    ):
        answer = await client.request(method, path + rest, json=body)
        assert answer.json()["error"]["code"] == "desktop_destroyed", rest
        assert answer.status_code == 409


async def test_patch_changes_what_is_named_and_nothing_else(as_, desktop):
    path = f"/api/desktops/{desktop.id}"
    await as_("owner").patch(path, json={"labels": {"a": "1"}})
    answer = await as_("owner").patch(path, json={"name": "renamed"})
    assert (answer.json()["name"], answer.json()["labels"]) == ("renamed", {"a": "1"})
    retier = await as_("owner").patch(path, json={"tier": "pro"})
    assert retier.status_code == 409


async def test_another_image_over_rest(as_, people):
    old = await make_desktop(people.workspace_id, image="older", status="stopped")
    path, body = f"/api/desktops/{old.id}", {"image": "fake", "snapshot": True}
    for who, status in (("nobody", 401), ("stranger", 404), ("viewer", 403)):
        assert (await as_(who).patch(path, json=body)).status_code == status
    client = as_("operator")
    for wrong in ({"image": "unknown"}, {"image": "fake", "tier": "pro"}, {"image": None}):
        answer = await client.patch(path, json=wrong)
        assert (answer.status_code, answer.json()["error"]["fields"].keys()) == (422, {"image"})
    for status in ("running", "hibernated"):
        await set_desktop(old.id, status=status)
        answer = await client.patch(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    await set_desktop(old.id, status="stopped")
    upgraded = await client.patch(path, json=body)
    assert upgraded.status_code == 200
    assert (upgraded.json()["image"], upgraded.json()["task"]) == ("fake", "snapshotting")
    assert (await client.patch(path, json=body)).status_code == 200
    kinds = [each["kind"] for each in (await client.get(f"{path}/operations")).json()["items"]]
    assert kinds == ["upgrade", "snapshot"]


async def test_exec_and_screenshot_reach_the_desktop(as_, desktop, living):
    path = f"/api/desktops/{desktop.id}"
    done = await as_("owner").post(f"{path}/exec", json={"command": "uptime", "timeout": 5})
    assert done.json() == {
        "exitCode": 0,
        "stdout": "ran uptime",
        "stderr": "",
        "truncated": False,
        "timedOut": False,
    }
    assert living.commands == [(desktop.id, "uptime", 5)]
    picture = await as_("viewer").get(f"{path}/screenshot?width=320")
    assert (picture.headers["content-type"], picture.content[-3:]) == ("image/png", b"320")
    for width in ("15", "3841", "x"):
        assert (await as_("viewer").get(f"{path}/screenshot?width={width}")).status_code == 422
    await set_desktop(desktop.id, status="stopped")
    assert (await as_("owner").get(f"{path}/screenshot")).status_code == 409


async def test_tiers_hosts_images_and_readiness(as_, people):
    tiers = (await as_("viewer").get("/api/tiers")).json()["items"]
    assert [(each["id"], each["vcpus"], each["memory"]) for each in tiers] == [
        ("free", 2, 4 << 30),
        ("pro", 4, 8 << 30),
        ("max", 4, 16 << 30),
    ]
    assert tiers[1]["price"] == {"amount": "49.00", "currency": "EUR"}
    assert tiers[0]["available"] is True
    hosts = (await as_("viewer").get("/api/hosts")).json()["items"]
    assert hosts[0]["provider"] == "fake"
    images = (await as_("viewer").get("/api/images")).json()["items"]
    assert images[0].keys() >= {
        "id",
        "suite",
        "profile",
        "status",
        "progress",
        "size",
        "createdAt",
    }
    assert (await as_("nobody").get("/readyz")).json() == {"status": "ready"}


async def test_not_ready_says_what_is_missing(as_, people, monkeypatch):
    monkeypatch.setattr(images, "ready", list)
    answer = await as_("nobody").get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"]["fields"].keys() == {"image"}


async def test_metrics_count_by_template(as_, desktop):
    await as_("owner").get(f"/api/desktops/{desktop.id}")
    await as_("owner").get("/api/nothing-of-this-name")
    text = (await as_("nobody").get("/metrics")).text
    assert 'lebureau_desktops{status="running"} 1.0' in text
    assert 'route="/api/desktops/{desktop_id}"' in text
    assert desktop.id not in text
    assert "nothing-of-this-name" not in text


async def test_the_docs_need_no_other_origin(as_):
    page = await as_("nobody").get("/api/docs")
    assert "//" not in page.text
    assert "<script>" not in page.text
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert (await as_("nobody").get(f"/api/docs/{asset}")).status_code == 200
    assert (await as_("nobody").get("/api/docs/other.js")).status_code == 404
