"""Memory that is kept: resume, hibernate, snapshots, restore and forks, on the fake provider."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from lebureau_app import db
from lebureau_app.engine import operations as worker_module
from lebureau_app.engine import starting
from lebureau_app.engine.goldens import GoldenMaker, simulated_warmer
from lebureau_app.engine.upkeep import Upkeep
from lebureau_app.models import Conversation, Desktop, Light, Run, RunStatus, Snapshot, Status
from lebureau_app.providers.base import Machine, Origin, Power
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.providers.fake_machine import Contents
from lebureau_app.services import (
    conversations,
    desktop_state,
    desktops,
    events,
    forks,
    goldens,
    operations,
    snapshot_state,
    snapshots,
)
from lebureau_app.services.desktops import Changes, NewDesktop
from tests.engine.conftest import Fleet

GOLDEN = FakeBehaviour(golden=True)
golden = pytest.mark.parametrize("fleet", [GOLDEN], indirect=True)


def running(desktop: Desktop) -> bool:
    return desktop.status == Status.RUNNING and desktop.task is None


def shows_its_screen(desktop: Desktop) -> bool:
    return desktop.readiness["screen"]["state"] == Light.READY


def hibernated(desktop: Desktop) -> bool:
    return desktop.status == Status.HIBERNATED and desktop.task is None


def stopped(desktop: Desktop) -> bool:
    return desktop.status == Status.STOPPED and desktop.task is None


def settled(desktop: Desktop) -> bool:
    return desktop.task is None


async def create(fleet: Fleet, name: str = "one") -> Desktop:
    desktop = await desktops.create(fleet.caller, NewDesktop(name=name))
    return await fleet.until(desktop.id, lambda row: running(row) and shows_its_screen(row))


async def machine_of(fleet: Fleet, desktop: Desktop) -> Machine:
    machine = await fleet.provider.inspect(desktop.id, desktop.ref)
    assert machine
    return machine


async def kinds(fleet: Fleet, desktop: Desktop) -> list[tuple[str, str]]:
    page = await operations.list_operations(fleet.caller, desktop.id)
    return [(row.kind, row.status) for row in page.rows]


async def take(fleet: Fleet, desktop: Desktop, name: str = "kept") -> Snapshot:
    taken = await snapshots.take(fleet.caller, desktop.id, name)
    await fleet.until(desktop.id, settled)
    found = await snapshot_state.load(taken.id)
    assert found
    return found


def write(fleet: Fleet, desktop: Desktop, disk: str, memory: str = "") -> None:
    fleet.provider.machines[desktop.id].contents = Contents(disk, memory)


def read(fleet: Fleet, desktop: Desktop) -> Contents:
    return fleet.provider.machines[desktop.id].contents


async def words(make: Callable[[], Awaitable[Desktop]]) -> list[str]:
    """What is said of a desktop's progress until it has been made."""
    said: list[str] = []
    async with events.bus.subscribe() as listener, asyncio.timeout(20):
        desktop = await make()
        while not running(desktop):
            told = await listener.get()
            if told.type == "operation.progress":
                said.append(told.data["message"])
            desktop = await desktop_state.load(desktop.id) or desktop
    return said


class TestResume:
    @golden
    async def test_a_new_desktop_resumes_and_gets_its_own_identity(self, fleet: Fleet) -> None:
        async with fleet.working():
            one, two = await create(fleet, "one"), await create(fleet, "two")
        assert (one.origin, one.origin_note) == (Origin.GOLDEN, "")
        assert one.host_key != two.host_key
        assert one.identified == one.boot
        assert (await machine_of(fleet, one)).settled

    @golden
    async def test_it_says_what_it_does(self, fleet: Fleet) -> None:
        async with fleet.working():
            said = await words(lambda: desktops.create(fleet.caller, NewDesktop(name="one")))
        assert "Resuming the golden machine" in said
        assert "Giving it its own identity" in said

    async def test_without_a_golden_machine_it_boots_and_says_why(self, fleet: Fleet) -> None:
        goldens.provide(GoldenMaker(fleet.provider, simulated_warmer, ""))
        async with fleet.working():
            desktop = await create(fleet)
        assert desktop.origin == Origin.BOOT
        assert "no golden machine" in desktop.origin_note

    async def test_where_none_are_made_a_boot_is_nothing_special(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
        assert (desktop.origin, desktop.origin_note) == (Origin.BOOT, "")

    @pytest.mark.parametrize(
        "fleet", [FakeBehaviour(golden=True, resume_fails=True)], indirect=True
    )
    async def test_a_resume_that_fails_boots_and_says_why(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
        assert desktop.origin == Origin.BOOT
        assert "could not be resumed" in desktop.origin_note
        assert desktop.host_key == " ".join(
            fleet.provider.machines[desktop.id].host_key.split()[:2]
        )

    @pytest.mark.parametrize(
        "fleet", [FakeBehaviour(golden=True, never=frozenset({"run_in_guest"}))], indirect=True
    )
    async def test_a_copy_that_takes_no_identity_is_booted_instead(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(starting, "PATIENCE", 0.0)
        async with fleet.working():
            desktop = await create(fleet)
        assert desktop.origin == Origin.BOOT
        assert "did not take its identity" in desktop.origin_note
        assert (await machine_of(fleet, desktop)).settled
        assert await kinds(fleet, desktop) == [("create", "done")]

    @golden
    async def test_a_copy_that_goes_off_is_booted_instead(self, fleet: Fleet) -> None:
        fleet.provider.behaviour = replace(GOLDEN, never=frozenset({"run_in_guest"}))
        async with fleet.working():
            made = await desktops.create(fleet.caller, NewDesktop(name="one"))
            await fleet.until(made.id, lambda row: (row.progress or {}).get("step") == "trust")
            fleet.provider.die(made.id)
            desktop = await fleet.until(made.id, running)
        assert desktop.origin == Origin.BOOT
        assert "went off" in desktop.origin_note

    @golden
    async def test_stop_and_start_go_on_from_the_desktops_own_disk(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "mine")
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, stopped)
            await desktops.start(fleet.caller, desktop.id)
            again = await fleet.until(desktop.id, running)
        assert (again.origin, again.origin_note) == (Origin.BOOT, "")
        assert again.host_key == desktop.host_key
        assert read(fleet, desktop).disk == "mine"


class TestHibernate:
    async def test_it_sleeps_with_a_picture_and_wakes_where_it_was(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "disk", "an editor")
            await desktops.hibernate(fleet.caller, desktop.id)
            asleep = await fleet.until(desktop.id, hibernated)
            assert {light["state"] for light in asleep.readiness.values()} == {"off"}
            assert await snapshot_state.picture_of(desktop.id)
            assert desktop.id not in fleet.links.open_ids()
            await desktops.start(fleet.caller, desktop.id)
            awake = await fleet.until(desktop.id, running)
        assert awake.origin == Origin.HIBERNATION
        assert awake.host_key == desktop.host_key
        assert awake.identified == awake.boot
        assert read(fleet, desktop) == Contents("disk", "an editor")

    async def test_a_run_goes_on_after_the_wake(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            run = await run_of(desktop, RunStatus.RUNNING)
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
        kept = await conversations.get_run(fleet.caller, run.id)
        assert kept.status == RunStatus.RUNNING

    async def test_one_that_fails_goes_on_and_says_so(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            fleet.provider.behaviour = FakeBehaviour(full=True)
            await desktops.hibernate(fleet.caller, desktop.id)
            awake = await fleet.until(desktop.id, settled)
        assert (awake.status, awake.desired_status) == (Status.RUNNING, Status.RUNNING)
        assert awake.status_message
        assert "no room" in awake.status_message
        await fleet.reconcile()
        assert desktop.id in fleet.links.open_ids()

    async def test_a_refused_memory_is_kept_and_a_cold_start_gives_it_up(
        self, fleet: Fleet
    ) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
            fleet.provider.behaviour = FakeBehaviour(resume_fails=True)
            await desktops.start(fleet.caller, desktop.id)
            refused = await fleet.until(desktop.id, hibernated)
            assert refused.needs_attention
            assert refused.status_message
            assert "cold" in refused.status_message
            assert (await machine_of(fleet, desktop)).power is Power.HIBERNATED
            await desktops.start(fleet.caller, desktop.id, cold=True)
            cold = await fleet.until(desktop.id, running)
        assert cold.origin == Origin.BOOT
        assert not cold.needs_attention

    async def test_a_wake_that_is_cancelled_loses_nothing(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "disk", "an editor")
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
            fleet.provider.behaviour = FakeBehaviour(never=frozenset({"run_in_guest"}))
            await desktops.start(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: (row.progress or {}).get("step") == "trust")
            await desktops.cancel(fleet.caller, desktop.id)
            asleep = await fleet.until(desktop.id, settled)
        assert asleep.status == Status.HIBERNATED
        assert (await machine_of(fleet, desktop)).power is Power.HIBERNATED
        assert read(fleet, desktop).memory == "an editor"


class TestSnapshots:
    async def test_taken_while_it_runs(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            snapshot = await take(fleet, desktop)
        assert (snapshot.status, snapshot.memory, snapshot.pictured) == ("ready", True, True)
        assert snapshot.size > 0
        assert (await machine_of(fleet, desktop)).power is Power.RUNNING

    async def test_restored_with_its_memory_it_runs_again(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "before", "an editor")
            snapshot = await take(fleet, desktop)
            write(fleet, desktop, "after", "a game")
            await snapshots.restore(fleet.caller, desktop.id, snapshot.id)
            again = await fleet.until(desktop.id, running)
        assert again.origin == Origin.SNAPSHOT
        assert again.host_key == desktop.host_key
        assert read(fleet, desktop) == Contents("before", "an editor")
        kept = await snapshot_state.of_desktop(desktop.id)
        assert [each.kind for each in kept] == ["manual", "automatic"]

    @golden
    async def test_a_restored_memory_is_never_given_up(self, fleet: Fleet) -> None:
        """It goes off while it wakes, like a copy of a golden machine may: it is tried again."""
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "before", "an editor")
            snapshot = await take(fleet, desktop)
            fleet.provider.behaviour = replace(GOLDEN, never=frozenset({"run_in_guest"}))
            async with events.bus.subscribe() as listener, asyncio.timeout(20):
                await snapshots.restore(fleet.caller, desktop.id, snapshot.id)
                while (await listener.get()).data.get("step") != "trust":
                    pass
            fleet.provider.die(desktop.id)
            fleet.provider.behaviour = GOLDEN
            await fleet.until(desktop.id, running)
        assert read(fleet, desktop) == Contents("before", "an editor")

    async def test_restored_without_memory_it_is_off(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, stopped)
            write(fleet, desktop, "before")
            snapshot = await take(fleet, desktop)
            await desktops.start(fleet.caller, desktop.id)
            await fleet.until(desktop.id, running)
            write(fleet, desktop, "after")
            await snapshots.restore(fleet.caller, desktop.id, snapshot.id)
            off = await fleet.until(desktop.id, settled)
        assert (off.status, off.desired_status) == (Status.STOPPED, Status.STOPPED)
        assert read(fleet, desktop).disk == "before"

    async def test_one_that_fails_is_said_and_nothing_has_changed(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "TRIES", 1)
        async with fleet.working():
            desktop = await create(fleet)
            fleet.provider.behaviour = FakeBehaviour(broken=frozenset({"take_snapshot"}))
            snapshot = await take(fleet, desktop)
        assert snapshot.status == "failed"
        assert "take_snapshot" in snapshot.note
        after = await desktop_state.load(desktop.id)
        assert after
        assert (after.status, after.needs_attention) == (Status.RUNNING, False)

    async def test_nothing_is_restored_whose_undo_could_not_be_kept(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "TRIES", 1)
        async with fleet.working():
            desktop = await create(fleet)
            snapshot = await take(fleet, desktop)
            write(fleet, desktop, "precious")
            fleet.provider.behaviour = FakeBehaviour(broken=frozenset({"take_snapshot"}))
            await snapshots.restore(fleet.caller, desktop.id, snapshot.id)
            kept = await fleet.until(desktop.id, settled)
        assert kept.status == Status.RUNNING
        assert read(fleet, desktop).disk == "precious"
        assert kept.status_message
        assert "stays as it is" in kept.status_message

    async def test_a_tier_change_can_be_undone(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, stopped)
            await desktops.change(fleet.caller, desktop.id, Changes(tier="pro", snapshot=True))
            larger = await fleet.until(desktop.id, settled)
            (undo,) = await snapshot_state.of_desktop(desktop.id)
            await snapshots.restore(fleet.caller, desktop.id, undo.id)
            small = await fleet.until(desktop.id, settled)
        assert (larger.tier, larger.memory) == ("pro", 8 << 30)
        assert (small.tier, small.memory, small.vcpus) == ("free", 4 << 30, 2)
        assert fleet.provider.machines[desktop.id].spec.memory == 4 << 30

    async def test_deleted(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            snapshot = await take(fleet, desktop)
            async with events.bus.subscribe() as listener, asyncio.timeout(20):
                await snapshots.delete(fleet.caller, desktop.id, snapshot.id)
                while (await listener.get()).type != "snapshot.deleted":
                    pass
        assert await snapshot_state.of_desktop(desktop.id) == []
        assert await fleet.provider.stored_snapshots() == []
        assert await snapshot_state.picture_of(snapshot.id) is None

    async def test_destroyed_with_the_desktop(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await take(fleet, desktop)
            await desktops.destroy(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
        assert await fleet.provider.stored_snapshots() == []
        assert await snapshot_state.picture_of(desktop.id) is None


class TestFork:
    async def test_children_are_copies_with_identities_of_their_own(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "disk", "an editor")
            made = await forks.fork(fleet.caller, desktop.id, 2)
            children = [await fleet.until(child.id, running) for child in made]
            await fleet.until(desktop.id, running)
        assert {child.origin for child in children} == {Origin.FORK}
        assert len({each.host_key for each in (desktop, *children)}) == 3
        assert [read(fleet, child) for child in children] == [Contents("disk", "an editor")] * 2
        assert len(await fleet.provider.stored_snapshots()) == 1
        await Upkeep(fleet.provider, fleet.settings).once()
        assert await fleet.provider.stored_snapshots() == []
        assert await snapshot_state.of_desktop(desktop.id) == []

    async def test_a_stopped_one_has_children_that_boot(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, stopped)
            write(fleet, desktop, "disk")
            (made,) = await forks.fork(fleet.caller, desktop.id)
            child = await fleet.until(made.id, running)
        assert child.host_key != desktop.host_key
        assert read(fleet, child).disk == "disk"
        assert (await machine_of(fleet, child)).settled

    async def test_children_of_a_copy_that_failed_say_why(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "TRIES", 1)
        async with fleet.working():
            desktop = await create(fleet)
            fleet.provider.behaviour = FakeBehaviour(broken=frozenset({"take_snapshot"}))
            (made,) = await forks.fork(fleet.caller, desktop.id)
            child = await fleet.until(made.id, settled)
        assert child.status == Status.ERROR
        assert child.status_message
        assert "take_snapshot" in child.status_message

    async def test_the_original_may_go_before_its_children_are_born(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            fleet.provider.behaviour = FakeBehaviour(never=frozenset({"create"}))
            (made,) = await forks.fork(fleet.caller, desktop.id)
            await fleet.until(desktop.id, settled)
            await desktops.destroy(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
            await Upkeep(fleet.provider, fleet.settings).once()
            fleet.provider.behaviour = FakeBehaviour()
            assert (await fleet.until(made.id, running)).origin == Origin.FORK


class TestKilled:
    """The worker is killed at every verb of the provider that an operation uses, before and after
    it was carried out; the next one goes on to the same end."""

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize(
        ("kind", "verbs"),
        [
            ("hibernate", ("hibernate",)),
            ("wake", ("start", "run_in_guest", "settle")),
            ("snapshot", ("take_snapshot",)),
            ("restore", ("stop", "restore_snapshot", "start", "run_in_guest", "settle")),
            ("fork", ("take_snapshot",)),
            ("birth", ("create", "start", "run_in_guest", "settle")),
        ],
    )
    async def test_it_goes_on(
        self,
        fleet: Fleet,
        kind: str,
        verbs: tuple[str, ...],
        after: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            write(fleet, desktop, "disk", "an editor")
            snapshot = await take(fleet, desktop)
            if kind == "wake":
                await desktops.hibernate(fleet.caller, desktop.id)
                await fleet.until(desktop.id, hibernated)
        child = await self._ask(fleet, kind, desktop, snapshot)
        for verb in verbs:
            await _killed_at(fleet, verb, after, monkeypatch)
            await operations.release_all()
        async with fleet.working():
            if child:
                born = await fleet.until(child.id, running)
                assert born.host_key != desktop.host_key
            ended = await fleet.until(desktop.id, hibernated if kind == "hibernate" else running)
        assert {status for _, status in await kinds(fleet, desktop)} == {"done"}
        assert len(await fleet.provider.inspect_all()) == (2 if child else 1)
        assert read(fleet, child or ended) == Contents("disk", "an editor")

    async def _ask(
        self, fleet: Fleet, kind: str, desktop: Desktop, snapshot: Snapshot
    ) -> Desktop | None:
        match kind:
            case "hibernate":
                await desktops.hibernate(fleet.caller, desktop.id)
            case "wake":
                await desktops.start(fleet.caller, desktop.id)
            case "snapshot":
                await snapshots.take(fleet.caller, desktop.id, "another")
            case "restore":
                await snapshots.restore(fleet.caller, desktop.id, snapshot.id)
            case _:
                return (await forks.fork(fleet.caller, desktop.id))[0]
        return None


class TestReconcile:
    async def test_a_desktop_whose_machine_hibernates_is_said_to(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
        await fleet.provider.hibernate(desktop.id, desktop.ref)
        await fleet.reconcile()
        found = await desktop_state.load(desktop.id)
        assert found
        assert found.status == Status.HIBERNATED
        assert desktop.id not in fleet.links.open_ids()

    async def test_it_wakes_nobody(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
            for _ in range(3):
                await fleet.reconcile()
        assert (await machine_of(fleet, desktop)).power is Power.HIBERNATED
        assert [kind for kind, _ in await kinds(fleet, desktop)] == ["hibernate", "create"]

    async def test_a_hibernated_desktop_whose_machine_runs_gets_its_identity(
        self, fleet: Fleet
    ) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
            await fleet.provider.start(desktop.id, desktop.ref)
            await fleet.reconcile()
            fleet.links.wake()
            awake = await fleet.until(desktop.id, running)
        assert awake.identified == awake.boot

    async def test_a_memory_that_is_gone_is_told(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.hibernate(fleet.caller, desktop.id)
            await fleet.until(desktop.id, hibernated)
        fleet.provider.machines[desktop.id].give_up_memory()
        fleet.provider.machines[desktop.id].switch_off(Power.STOPPED, "It is off.")
        await fleet.reconcile()
        found = await desktop_state.load(desktop.id)
        assert found
        assert (found.status, found.needs_attention) == (Status.STOPPED, True)
        assert found.status_message
        assert "gone" in found.status_message

    async def test_what_has_no_identity_is_not_linked(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
        await fleet.links.close_all()
        fleet.provider.machines[desktop.id].settled = False
        await fleet.reconcile()
        assert desktop.id not in fleet.links.open_ids()


async def _killed_at(fleet: Fleet, verb: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker work until it is at a verb, and end it there like a kill would."""
    reached = asyncio.Event()
    real = getattr(fleet.provider, verb)

    async def dies(*args: object, **named: object) -> object:
        if after and not reached.is_set():
            await real(*args, **named)
        reached.set()
        return await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(fleet.provider, verb, dies)
        async with asyncio.timeout(20), fleet.working():
            await reached.wait()
    await fleet.links.close_all()


async def run_of(desktop: Desktop, status: RunStatus) -> Run:
    """A run of a desktop's agent."""
    async with db.writing() as session:
        conversation = Conversation(workspace_id=desktop.workspace_id, desktop_id=desktop.id)
        session.add(conversation)
        await session.flush()
        run = Run(
            workspace_id=desktop.workspace_id,
            desktop_id=desktop.id,
            conversation_id=conversation.id,
            status=status,
        )
        session.add(run)
    return run
