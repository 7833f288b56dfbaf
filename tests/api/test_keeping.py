"""Hibernation, snapshots and forks over REST."""

import asyncio

import pytest

from lebureau_app.api import shapes
from lebureau_app.models import Status
from lebureau_app.services import desktop_state, snapshot_state
from tests.conftest import PNG, make_desktop, make_snapshot, set_desktop

SNAPSHOT = {
    *("id", "desktopId", "name", "kind", "status", "memory", "size", "picture", "tier", "note"),
    "createdAt",
}


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_hibernating_keeping_awake_and_starting(as_, desktop):
    client, path = as_("operator"), f"/api/desktops/{desktop.id}"
    await set_desktop(desktop.id, idle_after=3600, started_at=desktop.created_at)
    before = shapes.Desktop.model_validate((await client.get(path)).json())
    assert before.hibernates_at
    awake = await client.post(f"{path}/keep-awake", json={"seconds": 7200})
    assert awake.status_code == 202
    assert awake.json()["hibernatesAt"] == awake.json()["awakeUntil"] > before.hibernates_at
    for _ in range(2):
        answer = await client.post(f"{path}/hibernate")
        assert (answer.status_code, answer.json()["task"]) == (202, "hibernating")
    assert answer.json()["hibernatesAt"] is None
    await set_desktop(desktop.id, status=Status.HIBERNATED, task=None)
    assert code(await client.post(f"{path}/keep-awake")) == (409, "desktop_not_running")
    explained = (await client.get(f"{path}/explain")).json()
    assert "wakes" in explained["channels"][0]["nextStep"]


async def test_starting_cold(as_, people):
    asleep = await make_desktop(people.workspace_id, status=Status.HIBERNATED)
    path = f"/api/desktops/{asleep.id}"
    started = await as_("owner").post(f"{path}/start", json={"cold": True})
    assert (started.status_code, started.json()["task"]) == (202, "starting")
    assert (await as_("owner").post(f"{path}/start", json={"warm": True})).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("keep-awake", {"seconds": 1}, "seconds"),
        ("keep-awake", {"seconds": 10**9}, "seconds"),
        ("fork", {"count": 0}, "count"),
        ("fork", {"count": 11}, "count"),
        ("fork", {"namePrefix": "a b"}, "namePrefix"),
        ("fork", {"namePrefix": "x" * 63}, "namePrefix"),
        ("snapshots", {"name": ""}, "name"),
        ("snapshots", {"name": "x" * 101}, "name"),
    ],
)
async def test_wrong_values_are_named(as_, desktop, path, body, field):
    answer = await as_("owner").post(f"/api/desktops/{desktop.id}/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize("seconds", [-1, 30, 10**9, "x"])
async def test_rules_that_make_no_sense(as_, people, desktop, seconds):
    for path in (f"/api/desktops/{desktop.id}", f"/api/workspaces/{people.workspace_id}"):
        answer = await as_("owner").patch(path, json={"hibernateAfter": seconds})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (
            422,
            ["hibernateAfter"],
        )


async def test_rules_of_workspace_and_desktop(as_, people, desktop):
    client, path = as_("owner"), f"/api/workspaces/{people.workspace_id}"
    assert (await client.get(path)).json()["hibernateAfter"] == 3600
    changed = await client.patch(path, json={"hibernateAfter": 0})
    assert (changed.status_code, changed.json()["hibernateAfter"]) == (200, 0)
    assert (await client.get(f"/api/desktops/{desktop.id}")).json()["hibernatesAt"] is None
    own = await client.patch(f"/api/desktops/{desktop.id}", json={"hibernateAfter": 900})
    assert own.json()["hibernateAfter"] == 900
    assert own.json()["hibernatesAt"]
    back = await client.patch(f"/api/desktops/{desktop.id}", json={"hibernateAfter": None})
    assert (back.json()["hibernateAfter"], back.json()["hibernatesAt"]) == (None, None)


async def test_snapshots_from_beginning_to_end(as_, desktop):
    client, path = as_("operator"), f"/api/desktops/{desktop.id}/snapshots"
    taken = await client.post(path, json={"name": "  Before  "})
    assert taken.status_code == 202
    snapshot = taken.json()
    assert snapshot.keys() == SNAPSHOT
    assert (snapshot["name"], snapshot["status"], snapshot["picture"]) == (
        "Before",
        "creating",
        None,
    )
    one = f"{path}/{snapshot['id']}"
    assert code(await client.post(f"{one}/restore")) == (409, "conflict")
    assert code(await client.delete(one)) == (409, "conflict")
    assert code(await client.get(f"{one}/picture")) == (404, "not_found")

    await snapshot_state.keep_picture(snapshot["id"], PNG)
    await snapshot_state.note(snapshot["id"], status="ready", size=5)
    await client.post(f"/api/desktops/{desktop.id}/cancel")
    [listed] = (await as_("viewer").get(path)).json()["items"]
    assert (listed["status"], listed["size"]) == ("ready", 5)
    picture = await as_("viewer").get(listed["picture"])
    assert (picture.headers["content-type"], picture.content) == ("image/png", PNG)

    restored = await as_("operator").post(f"{one}/restore")
    assert (restored.status_code, restored.json()["id"]) == (202, desktop.id)
    undo = (await client.get(path)).json()["items"][0]
    assert (undo["kind"], undo["note"]) == ("automatic", "Before restoring Before")
    await client.post(f"/api/desktops/{desktop.id}/cancel")
    assert (await client.delete(one)).status_code == 204
    assert (await client.delete(one)).status_code == 204


async def test_a_snapshot_belongs_to_its_desktop(as_, people, desktop):
    other = await make_desktop(people.workspace_id, "other")
    snapshot = await make_snapshot(other)
    path = f"/api/desktops/{desktop.id}/snapshots/{snapshot.id}"
    assert code(await as_("owner").get(f"{path}/picture")) == (404, "not_found")
    assert code(await as_("owner").post(f"{path}/restore")) == (404, "not_found")
    assert code(await as_("owner").delete(path)) == (404, "not_found")


async def test_lists_of_snapshots_have_pages(as_, desktop):
    for number in range(5):
        await make_snapshot(desktop, f"s{number}")
    path, names, cursor = f"/api/desktops/{desktop.id}/snapshots", [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await as_("viewer").get(path, params=query)).json()
        names += [each["name"] for each in page["items"]]
        cursor = page["nextCursor"]
        if not cursor:
            break
    assert names == ["s4", "s3", "s2", "s1", "s0"]


async def test_one_key_takes_one_snapshot_and_one_fork(as_, desktop):
    client, path = as_("owner"), f"/api/desktops/{desktop.id}"
    headers = {"Idempotency-Key": "once"}
    for route, body in (("snapshots", {"name": "s"}), ("fork", {"count": 2})):
        answers = await asyncio.gather(
            *(client.post(f"{path}/{route}", json=body, headers=headers) for _ in range(4))
        )
        assert {answer.status_code for answer in answers} <= {202, 409}
        again = await client.post(f"{path}/{route}", json=body, headers=headers)
        assert again.status_code == 202
    assert len((await client.get(f"{path}/snapshots")).json()["items"]) == 1
    assert len((await client.get("/api/desktops")).json()["items"]) == 3


async def test_forks_are_desktops(as_, desktop):
    client = as_("operator")
    answer = await client.post(
        f"/api/desktops/{desktop.id}/fork", json={"count": 2, "namePrefix": "trial"}
    )
    assert answer.status_code == 202
    listing = shapes.Listing[shapes.Desktop].model_validate(answer.json())
    assert [child.name for child in listing.items] == ["trial-1", "trial-2"]
    assert {child.parent_id for child in listing.items} == {desktop.id}
    assert listing.next_cursor is None


async def test_the_last_picture_stands_for_what_does_not_run(as_, people, desktop):
    path = f"/api/desktops/{desktop.id}/screenshot"
    await snapshot_state.keep_picture(desktop.id, PNG)
    for status in (Status.HIBERNATED, Status.STOPPED):
        await desktop_state.note(desktop.id, status=status)
        answer = await as_("viewer").get(path)
        assert (answer.status_code, answer.content) == (200, PNG)
    bare = await make_desktop(people.workspace_id, "bare", status=Status.STOPPED)
    answer = await as_("viewer").get(f"/api/desktops/{bare.id}/screenshot")
    assert code(answer) == (409, "desktop_not_running")


async def test_chat_wakes(as_, people):
    asleep = await make_desktop(people.workspace_id, status=Status.HIBERNATED)
    said = await as_("operator").post(f"/api/desktops/{asleep.id}/chat", json={"message": "hi"})
    assert said.status_code == 202
    shown = (await as_("operator").get(f"/api/desktops/{asleep.id}")).json()
    assert (shown["status"], shown["task"]) == ("hibernated", "starting")


async def test_another_tier_with_an_undo(as_, people):
    stopped = await make_desktop(people.workspace_id, status=Status.STOPPED)
    path = f"/api/desktops/{stopped.id}"
    changed = await as_("owner").patch(path, json={"tier": "pro", "snapshot": True})
    assert (changed.json()["tier"], changed.json()["task"]) == ("pro", "snapshotting")
    [undo] = (await as_("owner").get(f"{path}/snapshots")).json()["items"]
    assert (undo["kind"], undo["tier"]) == ("automatic", "free")
