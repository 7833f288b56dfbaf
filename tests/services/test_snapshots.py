"""Snapshots as people ask for them: what is written down, and what is refused early."""

import pytest

from lebureau_app import db
from lebureau_app.errors import (
    Conflict,
    DesktopBusy,
    DesktopDestroyed,
    DesktopNotFound,
    Forbidden,
    NoCapacity,
    NotFound,
    TooManySnapshots,
)
from lebureau_app.models import Desktop, Operation, Snapshot, SnapshotKind, SnapshotStatus, Status
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.services import desktops, hosts, operations, snapshots
from lebureau_app.services.desktops import Changes
from tests.conftest import PNG, make_desktop, make_snapshot, set_desktop


async def journal(desktop: Desktop) -> list[Operation]:
    async with db.reading() as session:
        return await operations.pending(session, desktop.id)


async def kinds(desktop: Desktop) -> list[str]:
    return [operation.kind for operation in await journal(desktop)]


async def kept(people, desktop: Desktop) -> list[Snapshot]:
    return (await snapshots.list_snapshots(people["viewer"], desktop.id)).rows


class TestTaking:
    async def test_a_snapshot_remembers_what_the_desktop_was(self, people, desktop):
        taken = await snapshots.take(people["operator"], desktop.id, "Before the upgrade")
        assert (taken.status, taken.kind, taken.memory) == ("creating", "manual", True)
        assert (taken.tier, taken.vcpus, taken.memory_size) == ("free", 2, desktop.memory)
        [operation] = await journal(desktop)
        assert (operation.kind, operation.params) == ("snapshot", {"snapshot": taken.id})
        again = await desktops.get(people["viewer"], desktop.id)
        assert (again.status, again.task) == ("running", "snapshotting")

    async def test_a_stopped_desktop_has_no_memory_to_keep(self, people):
        desktop = await make_desktop(people.workspace_id, status=Status.STOPPED)
        assert not (await snapshots.take(people["owner"], desktop.id)).memory

    async def test_names_are_made_up_and_not_twice(self, people, desktop):
        names = [(await snapshots.take(people["owner"], desktop.id)).name for _ in range(3)]
        assert names == ["Snapshot 1", "Snapshot 2", "Snapshot 3"]

    @pytest.mark.parametrize("status", [Status.PROVISIONING, Status.ERROR])
    async def test_what_has_no_state_cannot_be_kept(self, people, status):
        desktop = await make_desktop(people.workspace_id, status=status)
        with pytest.raises(Conflict, match=status):
            await snapshots.take(people["owner"], desktop.id)

    async def test_what_was_never_made_cannot_be_kept(self, people):
        desktop = await make_desktop(people.workspace_id, status=Status.STOPPED, ref="")
        with pytest.raises(Conflict, match="never run"):
            await snapshots.take(people["owner"], desktop.id)

    async def test_a_full_host_is_said_early(self, people, desktop):
        hosts.provide(FakeProvider(disk=4 << 30))
        with pytest.raises(NoCapacity, match=r"4\.0 GB of disk"):
            await snapshots.take(people["owner"], desktop.id)
        assert await kept(people, desktop) == []

    async def test_twenty_are_enough(self, people, desktop):
        for number in range(snapshots.MOST):
            await make_snapshot(desktop, f"s{number}")
        await make_snapshot(desktop, "fork", kind=SnapshotKind.FORK)
        with pytest.raises(TooManySnapshots, match="20"):
            await snapshots.take(people["owner"], desktop.id)

    async def test_who_may_not(self, people, desktop):
        with pytest.raises(Forbidden):
            await snapshots.take(people["viewer"], desktop.id)
        with pytest.raises(DesktopNotFound):
            await snapshots.take(people["stranger"], desktop.id)
        await set_desktop(desktop.id, status=Status.DESTROYED)
        with pytest.raises(DesktopDestroyed):
            await snapshots.take(people["owner"], desktop.id)


class TestRestoring:
    async def test_what_is_now_is_kept_first(self, people, desktop):
        snapshot = await make_snapshot(desktop, "Monday")
        restored = await snapshots.restore(people["operator"], desktop.id, snapshot.id)
        undo, first = await kept(people, desktop)
        assert (undo.kind, undo.note, first.id) == (
            "automatic",
            "Before restoring Monday",
            snapshot.id,
        )
        keeping, restoring = await journal(desktop)
        assert (keeping.kind, keeping.params) == ("snapshot", {"snapshot": undo.id})
        assert restoring.params == {"snapshot": snapshot.id, "undo": undo.id}
        assert (restored.task, restored.desired_status) == ("snapshotting", "running")

    async def test_without_room_it_is_restored_all_the_same(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        hosts.provide(FakeProvider(disk=1 << 30))
        await snapshots.restore(people["owner"], desktop.id, snapshot.id)
        assert await kinds(desktop) == ["restore"]

    async def test_twice_is_once(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        for _ in range(2):
            await snapshots.restore(people["owner"], desktop.id, snapshot.id)
        assert await kinds(desktop) == ["snapshot", "restore"]

    async def test_a_busy_desktop_is_left_alone(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        await desktops.stop(people["owner"], desktop.id)
        with pytest.raises(DesktopBusy):
            await snapshots.restore(people["owner"], desktop.id, snapshot.id)

    async def test_a_snapshot_that_goes_is_in_nobodys_way(self, people, desktop):
        snapshot, other = await make_snapshot(desktop), await make_snapshot(desktop, "other")
        await snapshots.delete(people["owner"], desktop.id, other.id)
        await snapshots.restore(people["owner"], desktop.id, snapshot.id)
        assert await kinds(desktop) == ["drop_snapshot", "snapshot", "restore"]

    @pytest.mark.parametrize("status", ["creating", "failed", "deleting"])
    async def test_only_what_is_ready(self, people, desktop, status):
        snapshot = await make_snapshot(desktop, status=status)
        with pytest.raises(Conflict, match=status):
            await snapshots.restore(people["owner"], desktop.id, snapshot.id)

    async def test_another_desktops_snapshot_is_unknown(self, people, desktop):
        other = await make_desktop(people.workspace_id, "other")
        snapshot = await make_snapshot(other)
        with pytest.raises(NotFound):
            await snapshots.restore(people["owner"], desktop.id, snapshot.id)

    async def test_of_the_automatic_ones_three_are_kept_and_the_restored_one(self, people, desktop):
        old = [
            await make_snapshot(desktop, f"a{number}", kind=SnapshotKind.AUTOMATIC)
            for number in range(4)
        ]
        await snapshots.restore(people["owner"], desktop.id, old[0].id)
        status = {each.name: each.status for each in await kept(people, desktop)}
        assert status["a0"] == status["a2"] == status["a3"] == SnapshotStatus.READY
        assert status["a1"] == SnapshotStatus.DELETING
        assert await kinds(desktop) == ["snapshot", "drop_snapshot", "restore"]


class TestDeleting:
    async def test_it_goes_once(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        for _ in range(2):
            await snapshots.delete(people["owner"], desktop.id, snapshot.id)
        [operation] = await journal(desktop)
        assert (operation.kind, operation.params) == ("drop_snapshot", {"snapshot": snapshot.id})
        assert (await kept(people, desktop))[0].status == SnapshotStatus.DELETING
        assert (await desktops.get(people["owner"], desktop.id)).task is None

    async def test_what_is_being_restored_stays(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        await snapshots.restore(people["owner"], desktop.id, snapshot.id)
        for each in await kept(people, desktop):
            with pytest.raises(Conflict, match="in use"):
                await snapshots.delete(people["owner"], desktop.id, each.id)

    async def test_stopping_or_cancelling_lets_it_go(self, people, desktop):
        snapshot = await make_snapshot(desktop)
        await snapshots.delete(people["owner"], desktop.id, snapshot.id)
        await desktops.stop(people["owner"], desktop.id)
        await desktops.cancel(people["owner"], desktop.id)
        assert await kinds(desktop) == ["drop_snapshot"]


async def test_pictures_are_for_members(people, desktop):
    snapshot = await make_snapshot(desktop)
    assert await snapshots.picture(people["viewer"], desktop.id, snapshot.id) == PNG
    with pytest.raises(NotFound):
        await snapshots.picture(people["stranger"], desktop.id, snapshot.id)


class TestAnotherTier:
    async def test_the_undo_comes_first_and_knows_the_old_size(self, people):
        desktop = await make_desktop(people.workspace_id, status=Status.STOPPED)
        changed = await desktops.change(
            people["owner"], desktop.id, Changes(tier="pro", snapshot=True)
        )
        assert (changed.tier, changed.task) == ("pro", "snapshotting")
        [undo] = await kept(people, desktop)
        assert (undo.note, undo.tier, undo.vcpus) == ("Before changing the tier to Pro", "free", 2)
        keeping, resizing = await journal(desktop)
        assert (keeping.kind, resizing.kind) == ("snapshot", "reconfigure")
        assert resizing.params["undo"] == undo.id
        assert resizing.params["before"]["tier"] == "free"

    async def test_without_being_asked_nothing_is_kept(self, people):
        desktop = await make_desktop(people.workspace_id, status=Status.STOPPED)
        await desktops.change(people["owner"], desktop.id, Changes(tier="pro"))
        assert await kinds(desktop) == ["reconfigure"]

    async def test_no_room_for_the_undo_is_no_change(self, people):
        desktop = await make_desktop(people.workspace_id, status=Status.STOPPED)
        for number in range(snapshots.MOST):
            await make_snapshot(desktop, f"s{number}")
        with pytest.raises(TooManySnapshots):
            await desktops.change(people["owner"], desktop.id, Changes(tier="pro", snapshot=True))
        assert (await desktops.get(people["owner"], desktop.id)).tier == "free"
        assert await journal(desktop) == []
