"""What the desktop page does with snapshots, forks, hibernation and tiers."""

from typing import Any

import pytest

from lebureau_app.models import Desktop, Operation, SnapshotKind, Status, Task
from lebureau_app.services import desktops, forks, operations, snapshots, workspaces
from lebureau_app.state.app import AppState
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.fleet import FleetState
from lebureau_app.state.fork import ForkState
from lebureau_app.state.retier import RetierState
from lebureau_app.state.settings import SettingsState
from lebureau_app.state.timeline import TimelineState
from lebureau_app.state.upgrade import UpgradeState
from tests.conftest import People, make_desktop, make_snapshot, set_desktop
from tests.state.test_page_states import Page, fire, page_of


async def opened(kind: type[Page], people: People, desktop: Desktop, who: str = "operator") -> Page:
    """A page that shows a desktop to somebody."""
    page = await page_of(kind, people[who])
    shown = await page.get_state(DesktopState)
    shown._open(desktop.id)
    await shown._read()
    return page


async def journal(people: People, desktop: Desktop) -> list[Operation]:
    """The operations of a desktop, the oldest first."""
    return (await operations.list_operations(people["viewer"], desktop.id)).rows[::-1]


async def kinds(people: People, desktop: Desktop) -> list[str]:
    """What kinds they are."""
    return [each.kind for each in await journal(people, desktop)]


async def test_opening_the_page_wakes_a_hibernated_desktop(people: People, desktop: Desktop):
    await set_desktop(desktop.id, status=Status.HIBERNATED, desired_status=Status.HIBERNATED)
    page = await opened(DesktopState, people, desktop)
    await fire(page, "opened")
    row = await desktops.get(people["owner"], desktop.id)
    assert (row.task, row.desired_status) == (Task.STARTING, Status.RUNNING)


async def test_opening_the_page_of_a_stopped_desktop_starts_nothing(
    people: People, desktop: Desktop
):
    await set_desktop(desktop.id, status=Status.STOPPED, desired_status=Status.STOPPED)
    page = await opened(DesktopState, people, desktop)
    await fire(page, "opened")
    assert await kinds(people, desktop) == []


async def test_a_refused_memory_is_not_tried_again_by_looking(people: People, desktop: Desktop):
    await set_desktop(
        desktop.id,
        status=Status.HIBERNATED,
        desired_status=Status.HIBERNATED,
        needs_attention=True,
        status_message="Another QEMU wrote this memory.",
    )
    page = await opened(DesktopState, people, desktop)
    await fire(page, "opened")
    assert await kinds(people, desktop) == []
    await fire(page, "start_cold")
    (cold,) = await journal(people, desktop)
    assert cold.params["cold"]


async def test_the_tab_carries_the_name(people: People, desktop: Desktop):
    page = await opened(DesktopState, people, desktop)
    assert page.title == f"{desktop.name} · Le Bureau"


async def test_hibernating_can_be_undone(people: People, desktop: Desktop):
    page = await opened(DesktopState, people, desktop)
    await fire(page, "hibernate", desktop.id)
    assert page.notice.undo == "start"
    await fire(page, "undo")
    row = await desktops.get(people["owner"], desktop.id)
    assert row.desired_status == Status.RUNNING


async def test_keep_awake_and_the_rule(people: People, desktop: Desktop):
    page = await opened(DesktopState, people, desktop)
    await fire(page, "choose_rule", 900)
    assert (page.hibernation.rule, page.hibernation.minutes) == (900, 15)
    await fire(page, "keep_awake")
    assert page.hibernation.prefix.startswith("Kept awake")
    await fire(page, "choose_minutes", {"minutes": "45"})
    assert page.hibernation.rule == 2700
    await fire(page, "choose_rule", -1)
    assert (await desktops.get(people["owner"], desktop.id)).hibernate_after is None


async def test_a_snapshot_is_taken_by_name(people: People, desktop: Desktop):
    page = await opened(TimelineState, people, desktop)
    await fire(page, "take", {"name": " Before "})
    (shown,) = page.snapshots
    assert (shown.name, shown.word) == ("Before", "Being taken")
    assert page.desktop.busy


async def test_restoring_can_be_undone(people: People, desktop: Desktop):
    kept = await make_snapshot(desktop, "Tidy")
    page = await opened(TimelineState, people, desktop)
    await fire(page, "restore", kept.id, "Tidy")
    newest = page.snapshots[0]
    assert newest.automatic
    assert (page.notice.undo, page.notice.snapshot_id) == ("restore", newest.id)
    assert (await kinds(people, desktop))[-1] == "restore"


async def test_a_snapshot_is_deleted(people: People, desktop: Desktop):
    kept = await make_snapshot(desktop)
    page = await opened(TimelineState, people, desktop)
    await fire(page, "drop", kept.id, kept.name)
    assert page.snapshots[0].word == "Being removed"


async def test_a_viewer_sees_the_timeline_and_changes_nothing(people: People, desktop: Desktop):
    kept = await make_snapshot(desktop)
    page = await opened(TimelineState, people, desktop, "viewer")
    assert len(page.snapshots) == 1
    await fire(page, "restore", kept.id, kept.name)
    assert "role" in page.problem.message
    assert await kinds(people, desktop) == []


async def test_one_fork_is_gone_to_and_shows_where_it_comes_from(people: People, desktop: Desktop):
    page = await opened(ForkState, people, desktop)
    await fire(page, "ask_to_fork", True)
    assert (page.forking, page.count, page.why_not) == (True, 1, "")
    await fire(page, "fork", {"prefix": "try"})
    assert not page.forking
    fleet = await page_of(FleetState, people["viewer"])
    await fleet._read()
    child = next(row for row in fleet.rows if row.name == "try-1")
    assert child.parent == desktop.name


async def test_more_forks_than_one_at_most_ten(people: People, desktop: Desktop):
    page = await opened(ForkState, people, desktop)
    await fire(page, "choose_count", 99)
    assert page.count == forks.MOST
    await fire(page, "choose_count", 3)
    await fire(page, "fork", {})
    rows = (await desktops.list_desktops(people["owner"])).rows
    assert len([row for row in rows if row.parent_id == desktop.id]) == 3


async def test_the_name_of_a_parent_that_is_not_on_the_page_is_found(people: People):
    parent = await make_desktop(people.workspace_id, "origin")
    await make_desktop(people.workspace_id, "fork-of-it", parent_id=parent.id)
    fleet = await page_of(FleetState, people["viewer"])
    await fire(fleet, "search", "fork-of-it")
    assert [row.parent for row in fleet.rows] == ["origin"]


async def test_a_new_tier_keeps_the_way_back(people: People, desktop: Desktop):
    await set_desktop(desktop.id, status=Status.STOPPED, desired_status=Status.STOPPED)
    page = await opened(RetierState, people, desktop)
    await fire(page, "ask_to_retier", True)
    assert page.snapshot_first
    assert {tier.id: tier.available for tier in page.offered}["pro"]
    await fire(page, "choose_wanted", "pro")
    await fire(page, "retier")
    assert not page.retiering
    (kept,) = (await snapshots.list_snapshots(people["owner"], desktop.id)).rows
    assert kept.kind == SnapshotKind.AUTOMATIC
    assert (page.notice.undo, page.notice.snapshot_id) == ("restore", kept.id)
    assert await kinds(people, desktop) == ["snapshot", "reconfigure"]


async def test_a_new_tier_without_a_snapshot_has_no_way_back(people: People, desktop: Desktop):
    await make_snapshot(desktop)
    await set_desktop(desktop.id, status=Status.STOPPED, desired_status=Status.STOPPED)
    page = await opened(RetierState, people, desktop)
    await fire(page, "ask_to_retier", True)
    await fire(page, "choose_snapshot", False)
    await fire(page, "choose_wanted", "pro")
    await fire(page, "retier")
    assert page.notice.undo == ""
    assert await kinds(people, desktop) == ["reconfigure"]


async def test_a_disk_that_would_shrink_is_not_offered(people: People):
    big = await make_desktop(people.workspace_id, "big", tier="pro", disk=40 << 30)
    page = await opened(RetierState, people, big)
    await fire(page, "ask_to_retier", True)
    free = next(tier for tier in page.offered if tier.id == "free")
    assert (free.available, free.reason) == (False, "Its disk cannot shrink.")


@pytest.mark.parametrize(
    ("first", "journalled"), [(True, ["snapshot", "upgrade"]), (False, ["upgrade"])]
)
async def test_a_newer_image_is_offered_with_the_way_back(
    people: People, first: bool, journalled: list[str]
):
    old = await make_desktop(people.workspace_id, "old", image="old", status=Status.STOPPED)
    page = await opened(UpgradeState, people, old)
    assert page.desktop.can_upgrade
    await fire(page, "ask_to_upgrade", True)
    assert (page.upgrading, page.snapshot_first) == (True, True)
    await fire(page, "choose_snapshot", first)
    await fire(page, "upgrade")
    assert not page.upgrading
    assert await kinds(people, old) == journalled
    kept = (await snapshots.list_snapshots(people["owner"], old.id)).rows
    undo = ("restore", kept[0].id) if first else ("", "")
    assert (page.notice.undo, page.notice.snapshot_id) == undo
    assert (await desktops.get(people["owner"], old.id)).image == page.newest_image


async def test_an_upgrade_that_is_refused_leaves_the_dialog_open(people: People):
    old = await make_desktop(people.workspace_id, "old", image="old", status=Status.STOPPED)
    page = await opened(UpgradeState, people, old, "viewer")
    await fire(page, "ask_to_upgrade", True)
    await fire(page, "upgrade")
    assert page.upgrading
    assert "role" in page.problem.message


@pytest.mark.parametrize("spoilt", [{"image": "fake"}, {"status": Status.RUNNING}])
async def test_no_upgrade_is_offered_where_there_is_none(people: People, spoilt: dict[str, Any]):
    like = {"image": "old", "status": Status.STOPPED} | spoilt
    page = await opened(UpgradeState, people, await make_desktop(people.workspace_id, **like))
    assert not page.desktop.can_upgrade


@pytest.mark.parametrize(("form", "seconds"), [({"minutes": "45"}, 2700), ({"minutes": "0"}, 0)])
async def test_an_owner_sets_the_rule_of_the_workspace(people: People, form, seconds):
    page = await page_of(SettingsState, people["owner"])
    await fire(page, "show", "workspace")
    (shown,) = page.workspaces
    assert (shown.rule, shown.owned) == (3600, True)
    await fire(page, "choose_minutes", people.workspace_id, form)
    workspace = await workspaces.get(people["owner"], people.workspace_id)
    assert workspace.hibernate_after == seconds


async def test_nobody_else_sets_the_rule_of_the_workspace(people: People):
    page = await page_of(SettingsState, people["operator"])
    await fire(page, "choose_rule", people.workspace_id, 0)
    assert page.problem.message
    workspace = await workspaces.get(people["owner"], people.workspace_id)
    assert workspace.hibernate_after == 3600


async def test_a_notice_is_undone_once(people: People, desktop: Desktop):
    page = await opened(DesktopState, people, desktop)
    await fire(page, "hibernate", desktop.id)
    await fire(page, "undo")
    await fire(page, "undo")
    assert isinstance(page, AppState)
    assert page.problem.message == ""
