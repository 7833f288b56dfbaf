"""Another image as people ask for it: what is written down, and what is refused early."""

import pytest

from lebureau_app import db
from lebureau_app.errors import Conflict, Forbidden, Invalid, NoCapacity, TooManySnapshots
from lebureau_app.models import Desktop, Operation, SnapshotKind, Status
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.services import desktop_state, desktops, hosts, operations, snapshots
from lebureau_app.services.desktops import Changes
from tests.conftest import make_desktop, make_snapshot, set_desktop

NEWEST = "fake"
"""The one image that the fake provider's server has."""


@pytest.fixture
async def old(people) -> Desktop:
    """A stopped desktop on an older image."""
    return await make_desktop(people.workspace_id, image="older", status=Status.STOPPED)


async def journal(desktop: Desktop) -> list[Operation]:
    async with db.reading() as session:
        return await operations.pending(session, desktop.id)


async def test_the_image_is_journalled_with_the_one_before(people, old):
    changed = await desktops.change(people["operator"], old.id, Changes(image=NEWEST))
    assert (changed.image, changed.task, changed.status) == (NEWEST, "reconfiguring", "stopped")
    [operation] = await journal(old)
    assert operation.kind == "upgrade"
    assert operation.params == {"wanted": {"image": NEWEST}, "before": {"image": "older"}}


async def test_a_snapshot_of_the_old_image_is_its_undo(people, old):
    await desktops.change(people["owner"], old.id, Changes(image=NEWEST, snapshot=True))
    keeping, upgrading = await journal(old)
    [undo] = (await snapshots.list_snapshots(people["owner"], old.id)).rows
    assert (undo.kind, undo.image) == (SnapshotKind.AUTOMATIC, "older")
    assert NEWEST in undo.name
    assert (keeping.kind, upgrading.params["undo"]) == ("snapshot", undo.id)


async def test_the_image_that_it_has_changes_nothing(people, old):
    await set_desktop(old.id, image=NEWEST)
    await desktops.change(people["owner"], old.id, Changes(image=NEWEST, snapshot=True))
    assert await journal(old) == []


@pytest.mark.parametrize("status", [Status.RUNNING, Status.HIBERNATED, Status.ERROR])
async def test_only_a_stopped_desktop_is_upgraded(people, old, status):
    await set_desktop(old.id, status=status)
    with pytest.raises(Conflict, match="only while the desktop is stopped") as refused:
        await desktops.change(people["owner"], old.id, Changes(image=NEWEST))
    assert ("Wake it first" in refused.value.hint) is (status == Status.HIBERNATED)
    assert await journal(old) == []


async def test_a_desktop_to_which_something_is_done_is_not_upgraded(people, old):
    await desktops.start(people["owner"], old.id)
    with pytest.raises(Conflict):
        await desktops.change(people["owner"], old.id, Changes(image=NEWEST))


async def test_a_desktop_that_has_never_run_has_nothing_to_carry_over(people, old):
    await set_desktop(old.id, ref="")
    with pytest.raises(Conflict, match="never run"):
        await desktops.change(people["owner"], old.id, Changes(image=NEWEST))


@pytest.mark.parametrize("changes", [Changes(image="unknown"), Changes(image=NEWEST, tier="pro")])
async def test_an_unknown_image_and_a_tier_at_once_are_wrong_values(people, old, changes):
    with pytest.raises(Invalid) as refused:
        await desktops.change(people["owner"], old.id, changes)
    assert refused.value.fields.keys() == {"image"}
    assert (await desktops.get(people["owner"], old.id)).tier == "free"


async def test_a_viewer_upgrades_nothing(people, old):
    with pytest.raises(Forbidden):
        await desktops.change(people["viewer"], old.id, Changes(image=NEWEST))


async def test_no_room_for_the_snapshot_is_said_at_once(people, old):
    hosts.provide(FakeProvider(disk=1))
    with pytest.raises(NoCapacity):
        await desktops.change(people["owner"], old.id, Changes(image=NEWEST, snapshot=True))
    hosts.provide(FakeProvider())
    for number in range(snapshots.MOST):
        await make_snapshot(old, f"manual {number}")
    with pytest.raises(TooManySnapshots):
        await desktops.change(people["owner"], old.id, Changes(image=NEWEST, snapshot=True))
    assert (await desktops.get(people["owner"], old.id)).image == "older"


async def test_the_images_of_snapshots_and_of_upgrades_under_way_are_in_use(people, old):
    assert await desktop_state.images_in_use() == {"older"}
    await desktops.change(people["owner"], old.id, Changes(image=NEWEST))
    assert await desktop_state.images_in_use() == {"older", NEWEST}
    await make_snapshot(old, image="oldest")
    assert await desktop_state.images_in_use() == {"oldest", "older", NEWEST}
