"""Hibernation as people ask for it, when it comes by itself, and what wakes a desktop."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from lebureau_app import db
from lebureau_app.errors import (
    ChannelNotReady,
    Conflict,
    DesktopBusy,
    DesktopNotRunning,
    Forbidden,
)
from lebureau_app.models import (
    Desktop,
    Light,
    Operation,
    OperationStatus,
    RunStatus,
    Status,
    lights,
    utc_now,
)
from lebureau_app.services import (
    activity,
    channels,
    conversations,
    desktop_state,
    desktops,
    hosts,
    operations,
    snapshot_state,
    snapshots,
    tickets,
    workspaces,
)
from lebureau_app.services.conversations import Ended
from lebureau_app.services.desktops import Changes, NewDesktop
from lebureau_app.services.idleness import hibernates_at
from tests.conftest import PNG, make_desktop, set_desktop
from tests.support.eventually import eventually

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def journal(desktop: Desktop) -> list[Operation]:
    async with db.reading() as session:
        return await operations.pending(session, desktop.id)


async def kinds(desktop: Desktop) -> list[str]:
    return [operation.kind for operation in await journal(desktop)]


@pytest.fixture
async def asleep(people) -> Desktop:
    """A hibernated desktop."""
    return await make_desktop(
        people.workspace_id,
        "asleep",
        status=Status.HIBERNATED,
        desired_status=Status.HIBERNATED,
    )


async def wakes_up(desktop: Desktop) -> None:
    """Do what the engine does when it starts a desktop."""
    await desktop_state.note(
        desktop.id, status=Status.RUNNING, task=None, readiness=lights(Light.READY)
    )


class TestByHand:
    async def test_a_running_desktop_is_to_hibernate_once(self, people, desktop):
        for _ in range(2):
            hibernating = await desktops.hibernate(people["operator"], desktop.id)
        assert (hibernating.task, hibernating.desired_status) == ("hibernating", "hibernated")
        assert await kinds(desktop) == ["hibernate"]

    async def test_one_that_hibernates_is_left_alone(self, people, asleep):
        await desktops.hibernate(people["owner"], asleep.id)
        await desktops.stop(people["owner"], asleep.id)
        assert await kinds(asleep) == []

    async def test_others_cannot(self, people, desktop):
        with pytest.raises(Forbidden):
            await desktops.hibernate(people["viewer"], desktop.id)
        stopped = await make_desktop(people.workspace_id, "off", status=Status.STOPPED)
        with pytest.raises(DesktopNotRunning):
            await desktops.hibernate(people["owner"], stopped.id)
        await desktops.restart(people["owner"], desktop.id)
        with pytest.raises(DesktopBusy):
            await desktops.hibernate(people["owner"], desktop.id)

    async def test_a_provider_that_cannot_says_so(self, people, desktop, monkeypatch):
        class Plain:
            name = "plain"

        monkeypatch.setattr(hosts, "_provider", Plain())
        with pytest.raises(Conflict, match="plain cannot hibernate"):
            await desktops.hibernate(people["owner"], desktop.id)

    async def test_it_waits_for_a_snapshot_that_is_being_taken(self, people, desktop):
        await snapshots.take(people["owner"], desktop.id)
        hibernating = await desktops.hibernate(people["owner"], desktop.id)
        assert hibernating.task == "snapshotting"
        assert await kinds(desktop) == ["snapshot", "hibernate"]

    async def test_starting_takes_back_what_has_not_begun(self, people, desktop):
        await desktops.hibernate(people["owner"], desktop.id)
        started = await desktops.start(people["owner"], desktop.id)
        assert started.desired_status == Status.RUNNING
        assert await kinds(desktop) == []

    async def test_starting_follows_what_has_begun(self, people, desktop):
        await desktops.hibernate(people["owner"], desktop.id)
        [claimed] = await operations.claim()
        await operations.record(claimed, status="running")
        await desktops.start(people["owner"], desktop.id)
        assert await kinds(desktop) == ["hibernate", "start"]

    async def test_cold_is_written_down_also_afterwards(self, people, asleep):
        await desktops.start(people["owner"], asleep.id)
        await desktops.start(people["owner"], asleep.id, cold=True)
        [start] = await journal(asleep)
        assert start.params == {"cold": True}


class TestKeepAwake:
    async def test_it_holds_for_a_while(self, people, desktop):
        kept = await desktops.keep_awake(people["operator"], desktop.id, 600)
        assert kept.awake_until
        assert timedelta(seconds=595) < kept.awake_until - utc_now() <= timedelta(seconds=600)

    async def test_it_takes_back_a_hibernation(self, people, desktop):
        await desktops.hibernate(people["owner"], desktop.id)
        kept = await desktops.keep_awake(people["owner"], desktop.id, 600)
        assert (kept.desired_status, await kinds(desktop)) == (Status.RUNNING, [])

    async def test_only_what_runs(self, people, asleep):
        with pytest.raises(DesktopNotRunning):
            await desktops.keep_awake(people["owner"], asleep.id, 600)


class TestWhen:
    def row(self, **values: object) -> Desktop:
        common = {"status": Status.RUNNING, "idle_after": 600, "started_at": NOON}
        desktop = Desktop(workspace_id="", name="", tier="", provider="", vcpus=1, memory=1, disk=1)
        for name, value in (common | values).items():
            setattr(desktop, name, value)
        return desktop

    def test_time_counts_from_what_happened_last(self):
        later = NOON + timedelta(minutes=5)
        assert hibernates_at(self.row()) == NOON + timedelta(minutes=10)
        assert hibernates_at(self.row(last_active_at=later)) == later + timedelta(minutes=10)
        earlier = NOON - timedelta(days=1)
        assert hibernates_at(self.row(last_active_at=earlier)) == NOON + timedelta(minutes=10)

    def test_keep_awake_only_prolongs(self):
        hour = NOON + timedelta(hours=1)
        assert hibernates_at(self.row(awake_until=hour)) == hour
        assert hibernates_at(self.row(awake_until=NOON)) == NOON + timedelta(minutes=10)

    @pytest.mark.parametrize(
        "values",
        [
            {"idle_after": 0},
            {"working": True},
            {"task": "snapshotting"},
            {"status": Status.STOPPED},
            {"status": Status.HIBERNATED},
        ],
    )
    def test_never(self, values):
        assert hibernates_at(self.row(**values)) is None

    async def test_the_workspaces_rule_holds_where_there_is_no_own(self, people, desktop):
        own = await desktops.create(people["owner"], NewDesktop(name="own"))
        assert own.idle_after == 3600
        await desktops.change(people["operator"], own.id, Changes(hibernate_after=120))
        await workspaces.change(people["owner"], people.workspace_id, hibernate_after=900)
        rules = [
            (await desktops.get(people["viewer"], each.id)).idle_after for each in (own, desktop)
        ]
        assert rules == [120, 900]
        back = await desktops.change(people["owner"], own.id, Changes(hibernate_after=None))
        assert back.idle_after == 900
        with pytest.raises(Forbidden):
            await workspaces.change(people["operator"], people.workspace_id, hibernate_after=0)

    async def test_a_run_keeps_its_desktop_awake_until_the_last_has_ended(self, people, desktop):
        await set_desktop(desktop.id, idle_after=600, started_at=NOON)
        runs = [(await conversations.send(people["owner"], desktop.id, text)).run for text in "ab"]
        for run in runs:
            assert (await desktops.get(people["owner"], desktop.id)).working
            await conversations.end(run.id, Ended(RunStatus.DONE))
        rested = await desktops.get(people["owner"], desktop.id)
        assert hibernates_at(rested)


class TestWaking:
    async def test_a_message_waits_and_wakes(self, people, asleep, living):
        sent = await conversations.send(people["operator"], asleep.id, "good morning")
        assert sent.run.status == RunStatus.QUEUED
        woken = await desktops.get(people["viewer"], asleep.id)
        assert (woken.task, woken.desired_status) == ("starting", "running")
        await conversations.send(people["operator"], asleep.id, "are you there?")
        assert await kinds(asleep) == ["start"]
        assert living.wakes

    async def test_a_command_wakes_and_waits(self, people, asleep, living):
        running = asyncio.create_task(channels.execute(people["owner"], asleep.id, "true", 5))
        await _until_wanted(asleep)
        assert not living.commands
        await wakes_up(asleep)
        assert (await running).exit_code == 0
        assert living.commands == [(asleep.id, "true", 5)]

    async def test_a_command_is_told_when_it_cannot_be_woken(self, people, asleep):
        running = asyncio.create_task(channels.execute(people["owner"], asleep.id, "true", 5))
        operation = await _until_wanted(asleep)
        [claimed] = await operations.claim()
        assert claimed.id == operation.id
        refusal = "Its memory cannot be resumed here."
        await operations.finish(
            claimed, OperationStatus.FAILED, desktop={"status_message": refusal}
        )
        with pytest.raises(DesktopNotRunning, match="cannot be resumed"):
            await running

    async def test_a_ticket_comes_with_a_ready_channel_or_later(self, people, asleep, monkeypatch):
        monkeypatch.setattr(channels, "TICKET_PATIENCE", 0.05)
        with pytest.raises(ChannelNotReady, match="waking"):
            await tickets.create(people["owner"], asleep.id, "vnc", None)
        assert await kinds(asleep) == ["start"]
        monkeypatch.setattr(channels, "TICKET_PATIENCE", 10)
        asking = asyncio.create_task(tickets.create(people["owner"], asleep.id, "vnc", None))
        await asyncio.sleep(0)
        await wakes_up(asleep)
        assert (await asking)[0].mode == "control"

    async def test_a_viewer_wakes_nobody(self, people, asleep):
        with pytest.raises(DesktopNotRunning, match="hibernated"):
            await tickets.create(people["viewer"], asleep.id, "vnc", "view")
        assert await kinds(asleep) == []

    async def test_an_open_page_that_comes_again_wakes_nobody(self, people, asleep, desktop):
        await desktops.hibernate(people["owner"], desktop.id)
        with pytest.raises(DesktopNotRunning, match="hibernated"):
            await channels.door(people["owner"], asleep.id, "vnc", "control")
        with pytest.raises(ChannelNotReady):
            await channels.door(people["owner"], desktop.id, "vnc", "control")
        assert (await kinds(asleep), await kinds(desktop)) == ([], ["hibernate"])

    async def test_what_is_stopped_stays_stopped(self, people):
        stopped = await make_desktop(people.workspace_id, status=Status.STOPPED)
        with pytest.raises(DesktopNotRunning):
            await channels.execute(people["owner"], stopped.id, "true", 5)
        with pytest.raises(DesktopNotRunning):
            await conversations.send(people["owner"], stopped.id, "hello")
        assert await kinds(stopped) == []

    async def test_use_takes_back_a_hibernation_that_waits(self, people, desktop):
        await desktops.hibernate(people["owner"], desktop.id)
        await conversations.send(people["owner"], desktop.id, "wait")
        assert await kinds(desktop) == []

    async def test_a_picture_wakes_nobody(self, people, asleep):
        with pytest.raises(DesktopNotRunning):
            await channels.screenshot(people["viewer"], asleep.id, None)
        await snapshot_state.keep_picture(asleep.id, PNG)
        assert await channels.screenshot(people["viewer"], asleep.id, 640) == PNG
        assert await kinds(asleep) == []


class TestActivity:
    async def test_it_is_written_at_once_and_then_now_and_then(self, people, desktop, monkeypatch):
        monkeypatch.setattr(activity, "EVERY", 3600)
        activity.note(desktop.id)
        first = await _until_active(desktop, None)
        for _ in range(1000):
            activity.note(desktop.id)
        assert (await desktops.get(people["owner"], desktop.id)).last_active_at == first
        await activity.flush()
        await _until_active(desktop, first)

    async def test_only_what_runs_is_active(self, people, asleep):
        activity.note(asleep.id)
        activity.note("dsk_" + "0" * 26)
        await activity.flush()
        assert (await desktops.get(people["owner"], asleep.id)).last_active_at is None

    async def test_commands_count(self, people, desktop):
        await channels.execute(people["owner"], desktop.id, "true", 5)
        await activity.flush()
        assert (await desktops.get(people["owner"], desktop.id)).last_active_at


async def _until_wanted(desktop: Desktop) -> Operation:
    """Wait for the operation that wakes a desktop."""
    return (await eventually(lambda: journal(desktop)))[0]


async def _until_active(desktop: Desktop, before: datetime | None) -> datetime:
    async def active() -> datetime | None:
        row = await desktop_state.load(desktop.id)
        return row.last_active_at if row and row.last_active_at != before else None

    return await eventually(active)
