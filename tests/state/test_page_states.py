from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from reflex.state import State

from lebureau_app.models import Desktop, Status
from lebureau_app.services import desktops, goldens, images, provider_keys, sessions
from lebureau_app.services.access import Caller
from lebureau_app.services.goldens import GoldenState
from lebureau_app.state.app import NOTICE, AppState
from lebureau_app.state.create import CreateState
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.fleet import ROWS, FleetState
from lebureau_app.state.settings import SettingsState
from tests.conftest import PASSWORD, People, make_desktop

Page = TypeVar("Page", bound=AppState)


async def page_of(kind: type[Page], caller: Caller) -> Page:
    root = State(_reflex_internal_init=True)  # pyright: ignore[reportCallIssue]
    (await root.get_state(AppState)).admit(caller)
    return await root.get_state(kind)


async def fire(page: AppState, name: str, *arguments: Any) -> Any:
    """Carry an event out as Reflex does, without a browser."""
    kinds = (kind for kind in type(page).mro() if issubclass(kind, AppState))
    handler = next(kind.event_handlers[name] for kind in kinds if name in kind.event_handlers)
    outcome = handler.fn(page, *arguments)  # pyright: ignore[reportCallIssue]
    if hasattr(outcome, "__await__"):
        return await outcome
    if hasattr(outcome, "__aiter__"):
        return [each async for each in outcome]
    return outcome


async def test_the_fleet_is_that_of_the_caller(people: People, desktop: Desktop):
    mine = await page_of(FleetState, people["viewer"])
    await mine._read()
    assert [row.name for row in mine.rows] == [desktop.name]
    theirs = await page_of(FleetState, people["stranger"])
    await theirs._read()
    assert theirs.rows == []
    assert len(theirs.steps) == 3


async def test_the_fleet_is_windowed(people: People):
    for number in range(ROWS + 5):
        await make_desktop(people.workspace_id, f"many-{number:03}")
    fleet = await page_of(FleetState, people["owner"])
    await fleet._read()
    assert len(fleet.rows) == ROWS
    await fire(fleet, "next_page")
    assert len(fleet.rows) == 5
    await fire(fleet, "previous_page")
    assert len(fleet.rows) == ROWS


async def test_names_labels_and_statuses_filter(people: People):
    await make_desktop(people.workspace_id, "alpha", labels={"team": "ci"})
    await make_desktop(people.workspace_id, "beta", status=Status.STOPPED)
    fleet = await page_of(FleetState, people["owner"])
    await fire(fleet, "search", "alp")
    assert [row.name for row in fleet.rows] == ["alpha"]
    await fire(fleet, "search", "team:ci")
    assert [row.name for row in fleet.rows] == ["alpha"]
    await fire(fleet, "search", "")
    await fire(fleet, "show_status", "stopped")
    assert [row.name for row in fleet.rows] == ["beta"]
    await fire(fleet, "clear_filters")
    assert len(fleet.rows) == 2


async def test_who_needs_somebody_comes_first(people: People):
    await make_desktop(people.workspace_id, "quiet")
    await make_desktop(people.workspace_id, "asks", needs_attention=True)
    await make_desktop(people.workspace_id, "failed", status=Status.ERROR)
    fleet = await page_of(FleetState, people["owner"])
    await fleet._read()
    assert {row.name for row in fleet.needs} == {"asks", "failed"}


async def test_a_viewer_may_look_only(people: People, desktop: Desktop):
    fleet = await page_of(FleetState, people["viewer"])
    await fire(fleet, "stop", desktop.id)
    assert "role" in fleet.problem.message
    assert fleet.problem.request_id.startswith("req_")
    assert fleet.notice.text == ""


async def test_stopping_can_be_undone(people: People, desktop: Desktop):
    fleet = await page_of(FleetState, people["operator"])
    await fire(fleet, "stop", desktop.id)
    assert (fleet.notice.undo, fleet.notice.desktop_id) == ("start", desktop.id)
    assert (await desktops.get(people["owner"], desktop.id)).desired_status == Status.STOPPED
    await fire(fleet, "undo")
    assert (await desktops.get(people["owner"], desktop.id)).desired_status == Status.RUNNING


async def test_a_notice_does_not_come_back_with_the_next_page(people: People, desktop: Desktop):
    fleet = await page_of(FleetState, people["operator"])
    await fire(fleet, "stop", desktop.id)
    fleet._forget_notice()
    assert fleet.notice.undo == "start"
    fleet._said_at -= NOTICE + 1
    fleet._forget_notice()
    assert (fleet.notice.text, fleet.notice.undo) == ("", "")


async def test_a_desktop_of_somebody_else_is_not_there(people: People, desktop: Desktop):
    page = await page_of(DesktopState, people["stranger"])
    page._open(desktop.id)
    await page._read()
    assert not page.found
    assert page.desktop.name == ""


async def test_destroying_needs_the_name(people: People, desktop: Desktop):
    page = await page_of(DesktopState, people["owner"])
    page._open(desktop.id)
    await page._read()
    await fire(page, "type_name", "something-else")
    await fire(page, "destroy")
    assert (await desktops.get(people["owner"], desktop.id)).desired_status == Status.RUNNING
    await fire(page, "type_name", desktop.name)
    await fire(page, "destroy")
    assert (await desktops.get(people["owner"], desktop.id)).desired_status == Status.DESTROYED


async def test_only_operators_take_control(people: People):
    viewer = await page_of(DesktopState, people["viewer"])
    await fire(viewer, "take_control", True)
    assert not viewer.control
    operator = await page_of(DesktopState, people["operator"])
    await fire(operator, "take_control", True)
    assert operator.control


async def test_provisioning_takes_all_keys_unless_told_otherwise(people: People):
    page = await page_of(CreateState, people["owner"])
    for name in ("one", "two"):
        await provider_keys.create(
            people["owner"], name=name, provider="anthropic", key="sk-ant-0123456789"
        )
    await fire(page, "ask", True)
    assert len(page.key_ids) == 2
    await fire(page, "provision", {"name": "all-keys"})
    await fire(page, "ask", True)
    await fire(page, "toggle_key", page.key_ids[0])
    await fire(page, "provision", {"name": "one-key"})
    made = {row.name: row for row in (await desktops.list_desktops(people["owner"])).rows}
    assert made["all-keys"].provider_keys is None
    assert made["one-key"].provider_keys == page.key_ids
    assert not page.creating


async def test_the_dialog_says_what_creating_will_be(
    people: People, monkeypatch: pytest.MonkeyPatch
):
    made = {"ready": "In seconds", "making": "still being made"}
    for status, words in made.items():
        states = [GoldenState("free", images.ready()[0].id, status)]
        monkeypatch.setattr(goldens, "_maker", SimpleNamespace(states=lambda told=states: told))
        page = await page_of(CreateState, people["owner"])
        await fire(page, "ask", True)
        assert words in page.road
        await fire(page, "choose_tier", "max")
        assert page.road == ""


async def test_the_first_step_shows_the_golden_machine(
    people: People, monkeypatch: pytest.MonkeyPatch
):
    progress = {"step": "warm", "percent": None, "message": "Waiting until it is quiet"}
    states = [GoldenState("free", images.ready()[0].id, "making", progress)]
    monkeypatch.setattr(goldens, "_maker", SimpleNamespace(states=lambda: states))
    fleet = await page_of(FleetState, people["owner"])
    await fleet._read()
    assert fleet.steps[0].tone == "working"
    assert "Waiting until it is quiet" in fleet.steps[0].detail


async def test_a_wrong_name_keeps_the_dialog_open_and_says_why(people: People):
    page = await page_of(CreateState, people["owner"])
    await fire(page, "ask", True)
    await fire(page, "provision", {"name": "not a name!"})
    assert page.creating
    assert "letters, digits and hyphens" in page.problem.message


@pytest.mark.parametrize("section", ["models", "api", "workspace", "profile", "sessions", "host"])
async def test_every_section_opens(section: str, people: People):
    page = await page_of(SettingsState, people["owner"])
    await fire(page, "show", section)
    assert page.problem.message == ""


async def test_no_state_keeps_a_model_key(people: People):
    page = await page_of(SettingsState, people["owner"])
    secret = "sk-ant-never-kept-0123"
    await fire(page, "add_model_key", {"name": "mine", "key": secret})
    assert page.model_keys[0].ending == "…0123"
    assert secret not in repr(page._get_root_state().dict())


async def test_an_api_key_is_shown_once(people: People):
    page = await page_of(SettingsState, people["owner"])
    await fire(page, "show", "api")
    await fire(page, "add_api_key", {"name": "ci", "read": True, "expires": "30"})
    assert page.new_secret.startswith("lb_")
    assert page.api_keys[0].scopes == "read"
    await fire(page, "show", "profile")
    assert page.new_secret == ""


async def test_changing_the_password_signs_out_other_browsers(people: People):
    kept = await sessions.sign_in("owner@example.com", PASSWORD, "192.0.2.1", "here")
    other = await sessions.sign_in("owner@example.com", PASSWORD, "192.0.2.1", "there")
    caller = await sessions.caller_from_cookie(f"{sessions.COOKIE}={kept.token}")
    assert caller
    page = await page_of(SettingsState, caller)
    await fire(page, "change_password", {"current": "wrong", "new": "a longer password"})
    assert "wrong" in page.problem.message
    await fire(page, "change_password", {"current": PASSWORD, "new": "a longer password"})
    assert page.problem.message == ""
    assert await sessions.caller_from_cookie(f"{sessions.COOKIE}={other.token}") is None
    assert await sessions.caller_from_cookie(f"{sessions.COOKIE}={kept.token}")
