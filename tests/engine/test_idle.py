"""Idle desktops hibernate by their rules, as a clock says that a test holds."""

from datetime import datetime, timedelta

import pytest

from lebureau_app import db
from lebureau_app.engine.idle import LONGEST_SLEEP, TRY_AGAIN, Idle
from lebureau_app.engine.simulated_link import SimulatedLink
from lebureau_app.errors import ChannelNotReady
from lebureau_app.models import Desktop, Status, Workspace, utc_now
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import activity, desktop_state, desktops, operations, workspaces
from lebureau_app.services.desktops import Changes, NewDesktop
from tests.engine.conftest import Fleet

HOUR = timedelta(hours=1)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = utc_now()

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def idle(fleet: Fleet, clock: Clock) -> Idle:
    return Idle(fleet.links, clock)


@pytest.fixture
async def desktop(fleet: Fleet) -> Desktop:
    """A desktop that has just been made, with a rule of an hour."""
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name="one"))
        await fleet.until(made.id, lambda row: row.status == Status.RUNNING and row.task is None)
        return await desktops.change(fleet.caller, made.id, Changes(hibernate_after=3600))


async def is_to_hibernate(desktop: Desktop) -> bool:
    async with db.reading() as session:
        waiting = await operations.pending(session, desktop.id)
    return [each.kind for each in waiting] == ["hibernate"]


async def test_when_its_time_has_come(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    clock.time += HOUR - timedelta(minutes=1)
    assert await idle.once() == LONGEST_SLEEP
    clock.time += timedelta(seconds=50)
    assert 5 < await idle.once() < 15
    assert not await is_to_hibernate(desktop)
    clock.time += timedelta(seconds=20)
    await idle.once()
    assert await is_to_hibernate(desktop)
    async with fleet.working():
        asleep = await fleet.until(
            desktop.id, lambda row: row.status == Status.HIBERNATED and row.task is None
        )
    assert asleep.desired_status == Status.HIBERNATED


async def test_never_without_a_rule(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    await desktops.change(fleet.caller, desktop.id, Changes(hibernate_after=0))
    clock.time += 1000 * HOUR
    await idle.once()
    assert not await is_to_hibernate(desktop)


async def test_by_the_rule_of_its_workspace(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    await desktops.change(fleet.caller, desktop.id, Changes(hibernate_after=None))
    async with db.writing() as session:
        workspace = await session.get_one(Workspace, desktop.workspace_id)
    assert workspace.hibernate_after == 3600
    clock.time += 2 * HOUR
    await idle.once()
    assert await is_to_hibernate(desktop)


async def test_not_while_it_is_kept_awake(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    await desktops.keep_awake(fleet.caller, desktop.id, 3 * 3600)
    clock.time += 2 * HOUR
    await idle.once()
    assert not await is_to_hibernate(desktop)
    clock.time += 2 * HOUR
    await idle.once()
    assert await is_to_hibernate(desktop)


async def test_what_was_done_a_moment_ago_counts(
    idle: Idle, clock: Clock, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.time += HOUR + timedelta(minutes=1)
    monkeypatch.setattr(activity, "utc_now", clock)
    activity.note(desktop.id)
    await idle.once()
    assert not await is_to_hibernate(desktop)


async def test_not_while_a_command_runs_in_a_terminal(
    fleet: Fleet,
    idle: Idle,
    clock: Clock,
    desktop: Desktop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SimulatedLink, "at_work", _yes)
    monkeypatch.setattr(activity, "utc_now", clock)
    clock.time += HOUR + timedelta(minutes=1)
    await idle.once()
    await activity.flush()
    assert not await is_to_hibernate(desktop)
    found = await desktop_state.load(desktop.id)
    assert found
    assert found.last_active_at == clock.time


async def test_one_that_cannot_be_asked_is_spared_for_a_while(
    fleet: Fleet,
    idle: Idle,
    clock: Clock,
    desktop: Desktop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SimulatedLink, "at_work", _unknown)
    clock.time += 2 * HOUR
    await idle.once()
    monkeypatch.undo()
    await idle.once()
    assert not await is_to_hibernate(desktop)
    clock.time += TRY_AGAIN
    await idle.once()
    assert await is_to_hibernate(desktop)


async def test_one_that_did_not_hibernate_is_spared_for_a_while(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    clock.time += 2 * HOUR
    fleet.provider.behaviour = FakeBehaviour(full=True)
    await idle.once()
    async with fleet.working():
        await fleet.until(desktop.id, lambda row: row.task is None)
    await fleet.reconcile()
    await fleet.links.identity(desktop.id, 5)
    await idle.once()
    assert not await is_to_hibernate(desktop)
    clock.time += TRY_AGAIN
    await idle.once()
    assert await is_to_hibernate(desktop)


async def test_a_rule_that_changes_holds_at_once(
    fleet: Fleet, idle: Idle, clock: Clock, desktop: Desktop
) -> None:
    await desktops.change(fleet.caller, desktop.id, Changes(hibernate_after=None))
    await workspaces.change(fleet.caller, desktop.workspace_id, hibernate_after=60)
    clock.time += timedelta(seconds=90)
    await idle.once()
    assert await is_to_hibernate(desktop)


async def _yes(_: SimulatedLink) -> bool:
    return True


async def _unknown(_: SimulatedLink) -> bool:
    raise ChannelNotReady
