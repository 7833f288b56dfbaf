"""Another image: the home folder comes along, or everything is as it was, however it ends."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lebureau_app.engine import operations as worker_module
from lebureau_app.engine import upgrading
from lebureau_app.models import Desktop, Status
from lebureau_app.providers.base import Power
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.providers.fake_machine import Contents, FakeMachine
from lebureau_app.services import desktop_state, desktops, images, operations, snapshots
from lebureau_app.services.desktops import Changes, NewDesktop
from tests.engine.conftest import Fleet

OLD, NEWER = "standard-trixie-000000000000", "standard-trixie-111111111111"
NO_ROOM = "cp failed: No space left on device"


@pytest.fixture(autouse=True)
def two_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ready", lambda: [SimpleNamespace(id=i) for i in (NEWER, OLD)])
    monkeypatch.setattr(worker_module, "TRIES", 1)


def settled(desktop: Desktop) -> bool:
    return desktop.task is None


def on(image: str) -> Callable[[Desktop], bool]:
    return lambda row: settled(row) and row.image == image


def at_step(step: str) -> Callable[[Desktop], bool]:
    return lambda row: (row.progress or {}).get("step") == step


def machine_of(fleet: Fleet, desktop: Desktop) -> FakeMachine:
    return fleet.provider.machines[desktop.id]


async def stopped(fleet: Fleet) -> Desktop:
    """A desktop that is stopped, with something on its disk."""
    desktop = await desktops.create(fleet.caller, NewDesktop(name="one"))
    await fleet.until(desktop.id, lambda row: row.status == Status.RUNNING and settled(row))
    machine_of(fleet, desktop).contents = Contents(disk="plan")
    await desktops.stop(fleet.caller, desktop.id)
    return await fleet.until(desktop.id, lambda row: row.status == Status.STOPPED and settled(row))


async def upgrade(fleet: Fleet, desktop: Desktop, *, snapshot: bool = False) -> None:
    await desktops.change(fleet.caller, desktop.id, Changes(image=NEWER, snapshot=snapshot))


async def journal(fleet: Fleet, desktop: Desktop, limit: int = 2) -> list[tuple[str, str]]:
    """Kind and status of the newest operations."""
    page = await operations.list_operations(fleet.caller, desktop.id, limit=limit)
    return [(row.kind, row.status) for row in page.rows]


def is_as_it_was(fleet: Fleet, desktop: Desktop) -> None:
    machine = machine_of(fleet, desktop)
    assert (desktop.status, desktop.image) == (Status.STOPPED, OLD)
    assert (machine.power, machine.spec.image) == (Power.STOPPED, OLD)
    assert (machine.contents.disk, machine.former) == ("plan", None)


async def test_a_desktop_ends_stopped_on_its_new_image_with_what_is_its_own(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop)
        now = await fleet.until(desktop.id, on(NEWER))
    machine = machine_of(fleet, desktop)
    assert (now.status, now.status_message, now.needs_attention) == (Status.STOPPED, None, False)
    assert (machine.power, machine.spec.image) == (Power.STOPPED, NEWER)
    assert (machine.contents.disk, machine.former) == ("plan", None)
    assert now.host_key == desktop.host_key != ""
    assert await journal(fleet, desktop, 1) == [("upgrade", "done")]


async def test_it_starts_and_is_undone_like_any_other(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop, snapshot=True)
        await fleet.until(desktop.id, on(NEWER))
        assert await journal(fleet, desktop) == [("upgrade", "done"), ("snapshot", "done")]
        await desktops.start(fleet.caller, desktop.id)
        await fleet.until(desktop.id, lambda row: row.status == Status.RUNNING and settled(row))
        machine_of(fleet, desktop).contents = Contents(disk="later")
        (undo, *_) = (await snapshots.list_snapshots(fleet.caller, desktop.id)).rows
        await snapshots.restore(fleet.caller, desktop.id, undo.id)
        is_as_it_was(fleet, await fleet.until(desktop.id, on(OLD)))


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried=NO_ROOM)], indirect=True)
async def test_what_cannot_be_carried_over_is_said_and_all_is_as_it_was(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop, snapshot=True)
        now = await fleet.until(desktop.id, on(OLD))
        is_as_it_was(fleet, now)
        assert now.needs_attention
        assert NO_ROOM in (now.status_message or "")

        fleet.provider.behaviour = FakeBehaviour()
        page = await operations.list_operations(fleet.caller, desktop.id, limit=1)
        await operations.retry(fleet.caller, page.rows[0].id)
        again = await fleet.until(desktop.id, on(NEWER))
    assert (again.needs_attention, again.status_message) == (False, None)
    assert machine_of(fleet, desktop).contents.disk == "plan"


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried="")], indirect=True)
async def test_an_upgrade_can_be_cancelled(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop)
        await fleet.until(desktop.id, at_step("carry"))
        assert machine_of(fleet, desktop).power is Power.RUNNING
        await desktops.cancel(fleet.caller, desktop.id)
        now = await fleet.until(desktop.id, on(OLD))
    is_as_it_was(fleet, now)
    assert now.status_message == "The image upgrade was cancelled."


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried="")], indirect=True)
async def test_an_upgrade_that_does_not_come_to_an_end_is_taken_back(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CARRY_SECONDS", -10_000)
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop)
        now = await fleet.until(desktop.id, on(OLD))
    is_as_it_was(fleet, now)
    assert "took longer" in (now.status_message or "")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"dies_after": 0.0},
        {"broken": frozenset({"change_image"})},
        {"broken": frozenset({"start"})},
        {"broken": frozenset({"keep_image"})},
        {"full": True},
    ],
    ids=str,
)
async def test_an_upgrade_that_fails_is_taken_back(fleet: Fleet, spoilt: dict[str, object]) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = replace(FakeBehaviour(carried="ok"), **spoilt)
        await upgrade(fleet, desktop)
        now = await fleet.until(desktop.id, on(OLD))
    is_as_it_was(fleet, now)
    assert now.needs_attention


async def test_a_desktop_that_could_not_be_kept_stays_on_its_image(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = FakeBehaviour(broken=frozenset({"take_snapshot"}))
        await upgrade(fleet, desktop, snapshot=True)
        now = await fleet.until(desktop.id, lambda row: on(OLD)(row) and row.needs_attention)
    is_as_it_was(fleet, now)
    assert "could not be kept" in (now.status_message or "")


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried="")], indirect=True)
async def test_another_server_carries_on(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop)
        await fleet.until(desktop.id, at_step("carry"))
    machine_of(fleet, desktop).carry_over("ok")
    await operations.release_all()
    async with fleet.working():
        await fleet.until(desktop.id, on(NEWER))
    assert machine_of(fleet, desktop).contents.disk == "plan"
    assert await journal(fleet, desktop, 1) == [("upgrade", "done")]


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried="")], indirect=True)
async def test_a_start_waits_and_a_destruction_does_not(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        await upgrade(fleet, desktop)
        await fleet.until(desktop.id, at_step("carry"))
        await desktops.start(fleet.caller, desktop.id)
        assert await journal(fleet, desktop) == [("start", "queued"), ("upgrade", "running")]
        fleet.provider.behaviour = FakeBehaviour(never=frozenset({"take_image_back"}))
        await desktops.destroy(fleet.caller, desktop.id)
        await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
    assert fleet.provider.machines == {}


@pytest.mark.parametrize("fleet", [FakeBehaviour(carried=NO_ROOM)], indirect=True)
async def test_what_cannot_be_taken_back_now_is_taken_back_later(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "TAKE_BACK_SECONDS", 0.05)
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = replace(
            fleet.provider.behaviour, never=frozenset({"take_image_back"})
        )
        await upgrade(fleet, desktop)
        await fleet.until(desktop.id, at_step("carry"))
    assert await operations.busy_desktops() == {desktop.id}
    fleet.provider.behaviour = FakeBehaviour(carried=NO_ROOM)
    await operations.release_all()
    async with fleet.working():
        is_as_it_was(fleet, await fleet.until(desktop.id, on(OLD)))


async def test_the_reconciler_leaves_the_machine_to_the_upgrade(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = FakeBehaviour(carried="")
        await upgrade(fleet, desktop)
        await fleet.until(desktop.id, at_step("carry"))
        await fleet.reconcile()
        now = await desktop_state.load(desktop.id)
    assert now
    assert (now.status, machine_of(fleet, desktop).power) == (Status.STOPPED, Power.RUNNING)
