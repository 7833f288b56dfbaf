"""Forks: what the new desktops are, and what goes with them."""

import pytest

from lebureau_app import db
from lebureau_app.errors import Conflict, Invalid, NoCapacity
from lebureau_app.models import (
    Conversation,
    Desktop,
    Message,
    Operation,
    RunStatus,
    SnapshotKind,
    Status,
)
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.services import (
    conversations,
    desktop_state,
    desktops,
    forks,
    hosts,
    operations,
    snapshot_state,
    snapshots,
)
from tests.conftest import make_desktop, make_people


async def journal(desktop: Desktop) -> list[Operation]:
    async with db.reading() as session:
        return await operations.pending(session, desktop.id)


async def said_with(people, desktop: Desktop) -> list[Message]:
    return (await conversations.messages(people["viewer"], desktop_id=desktop.id)).rows[::-1]


async def test_each_child_is_like_the_original_and_its_own(people, desktop):
    desktop = await desktops.change(
        people["owner"], desktop.id, desktops.Changes(labels={"a": "b"}, hibernate_after=900)
    )
    children = await forks.fork(people["operator"], desktop.id, 3)
    assert [child.name for child in children] == [f"dev-agent-01-{n}" for n in (1, 2, 3)]
    for child in children:
        assert (child.status, child.task, child.parent_id) == (
            "provisioning",
            "creating",
            desktop.id,
        )
        assert (child.tier, child.labels, child.idle_after) == ("free", {"a": "b"}, 900)
        assert desktop_state.spec_of(child, "").snapshot == child.born_of
    assert len({desktop_state.secrets_of(child).door for child in children}) == 3
    assert len({child.born_of for child in children}) == 1


async def test_the_original_is_kept_once_and_the_children_wait_for_that(people, desktop):
    children = await forks.fork(people["owner"], desktop.id, 2)
    snapshot = await snapshot_state.load(children[0].born_of)
    assert snapshot
    assert (snapshot.kind, snapshot.desktop_id) == (SnapshotKind.FORK, desktop.id)
    [forking] = await journal(desktop)
    assert (forking.kind, forking.params) == ("fork", {"snapshot": snapshot.id})
    for child in children:
        [creating] = await journal(child)
        assert (creating.kind, creating.params) == ("create", {"snapshot": snapshot.id})
    assert (await snapshots.list_snapshots(people["owner"], desktop.id)).rows == []


async def test_names_go_round_what_is_taken(people, desktop):
    await make_desktop(people.workspace_id, "lab-2")
    children = await forks.fork(people["owner"], desktop.id, 2, "lab")
    assert [child.name for child in children] == ["lab-1", "lab-3"]
    long = await make_desktop(people.workspace_id, "x" * 63)
    [child] = await forks.fork(people["owner"], long.id)
    assert child.name == "x" * 58 + "-1"
    with pytest.raises(Invalid):
        await forks.fork(people["owner"], desktop.id, 1, "not a name")


async def test_what_was_said_goes_on_in_the_same_thread(people, desktop):
    first = await conversations.send(people["owner"], desktop.id, "one")
    await conversations.take_next(desktop.id)
    await conversations.end(first.run.id, conversations.Ended(RunStatus.DONE, "answer"))
    second = await conversations.send(people["owner"], desktop.id, "two")
    await conversations.take_next(desktop.id)
    await conversations.keep_so_far(second.run.id, "half an ans", [])
    await conversations.send(people["owner"], desktop.id, "three")

    [child] = await forks.fork(people["owner"], desktop.id)
    copied = await said_with(people, child)
    assert [(each.role, each.text, each.status) for each in copied] == [
        ("user", "one", "done"),
        ("assistant", "answer", "done"),
        ("user", "two", "done"),
        ("assistant", "half an ans", "aborted"),
    ]
    assert all(each.run_id is None for each in copied)
    assert await conversations.take_next(child.id) is None
    assert not child.working

    again = await conversations.send(people["owner"], (await _running(child)).id, "four")
    assert await conversations.thread_of(again.run) == first.conversation.id
    [grandchild] = await forks.fork(people["owner"], child.id)
    async with db.reading() as session:
        page = await conversations.list_conversations(people["owner"], desktop_id=grandchild.id)
        copy = await session.get_one(Conversation, page.rows[0].id)
    assert copy.session == first.conversation.id


async def test_long_conversations_are_copied_on_both_databases(any_database, living):
    people = await make_people()
    desktop = await make_desktop(people.workspace_id)
    sent = await conversations.send(people["owner"], desktop.id, "the first")
    await conversations.take_next(desktop.id)
    more = [
        Message(
            workspace_id=desktop.workspace_id,
            desktop_id=desktop.id,
            conversation_id=sent.conversation.id,
            role="assistant",
            text=f"{number}",
            tool_calls=[{"id": "1", "name": "exec"}],
        )
        for number in range(300)
    ]
    async with db.writing() as session:
        session.add_all(more)
    for child in await forks.fork(people["owner"], desktop.id, 10):
        page = await conversations.messages(people["owner"], desktop_id=child.id, limit=200)
        assert [each.text for each in page.rows[:2]] == ["299", "298"]
        assert page.rows[0].tool_calls == [{"id": "1", "name": "exec"}]
        assert page.next_cursor


async def test_no_room_for_all_is_said_early(people, desktop):
    hosts.provide(FakeProvider(memory=10 << 30))
    with pytest.raises(NoCapacity, match="no room for 3 more"):
        await forks.fork(people["owner"], desktop.id, 3)
    assert len((await desktops.list_desktops(people["owner"])).rows) == 1
    await forks.fork(people["owner"], desktop.id, 2)


@pytest.mark.parametrize("status", [Status.PROVISIONING, Status.ERROR])
async def test_what_has_no_state_has_no_forks(people, status):
    desktop = await make_desktop(people.workspace_id, status=status)
    with pytest.raises(Conflict, match=status):
        await forks.fork(people["owner"], desktop.id)


async def _running(desktop: Desktop) -> Desktop:
    await desktop_state.note(desktop.id, status=Status.RUNNING, task=None, ref="fake-2")
    return desktop
