from types import SimpleNamespace
from typing import Any

import pytest
import reflex as rx
from reflex.event import Event
from reflex.state import State

from lebureau_app.services import sessions
from lebureau_app.state.app import AppState
from lebureau_app.state.create import CreateState
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.fleet import FleetState
from lebureau_app.state.guard import AuthGuard, is_public
from lebureau_app.state.settings import SettingsState
from lebureau_app.state.sign_in import SignInState
from tests.conftest import PASSWORD, People

HYDRATE = "reflex___state____state.hydrate"
LOAD = "reflex___state____state.reflex___state____on_load_internal_state.on_load_internal"


def name_of(handler: Any) -> str:
    return rx.event.Event.from_event_type(handler())[0].name


def root(cookie: str) -> State:
    state = State(_reflex_internal_init=True)  # pyright: ignore[reportCallIssue]
    state.router_data = {"headers": {"cookie": cookie}, "pathname": "/settings/"}
    return state


async def ask(state: State, name: str):
    return await AuthGuard().preprocess(SimpleNamespace(), state, Event(name=name))  # pyright: ignore


@pytest.fixture
async def cookie(people: People) -> str:
    signed_in = await sessions.sign_in("owner@example.com", PASSWORD, "192.0.2.1", "a test")
    return f"{sessions.COOKIE}={signed_in.token}"


def test_only_what_a_page_needs_to_come_up_and_the_sign_in_page_is_public():
    assert is_public(HYDRATE)
    assert is_public(LOAD)
    assert is_public(name_of(SignInState.open))


@pytest.mark.parametrize(
    "handler", [FleetState.watch, FleetState.next_page, AppState.undo, AppState.dismiss]
)
def test_no_other_event_is_public(handler):
    assert not is_public(name_of(handler))


def test_every_event_handler_of_ours_needs_a_caller():
    ours = {AppState, CreateState, DesktopState, FleetState, SettingsState}
    assert ours == {AppState, *AppState.get_substates()}
    for state in ours | DesktopState.get_substates():
        for name in state.event_handlers:
            assert not is_public(f"{state.get_full_name()}.{name}")


async def test_nobody_is_sent_to_sign_in(people: People):
    update = await ask(root(""), name_of(FleetState.next_page))
    assert update is not None
    assert update.events[0].name == "_redirect"
    assert "/login/" in str(update.events[0].payload["path"])


async def test_a_forged_cookie_is_nobody(people: People):
    update = await ask(root(f"{sessions.COOKIE}=forged"), name_of(FleetState.next_page))
    assert update is not None


async def test_somebody_who_is_signed_in_gets_through_and_is_known(cookie: str, people: People):
    state = root(cookie)
    assert await ask(state, name_of(FleetState.next_page)) is None
    page = await state.get_state(AppState)
    assert page.email == "owner@example.com"
    assert page.is_owner
    assert page.caller.user_id == people["owner"].user_id


async def test_after_signing_out_the_same_socket_is_refused(cookie: str):
    state = root(cookie)
    assert await ask(state, name_of(FleetState.next_page)) is None
    await sessions.sign_out(cookie)
    assert await ask(state, name_of(FleetState.next_page)) is not None
    assert (await state.get_state(AppState)).email == ""


async def test_another_person_in_the_same_tab_sees_nothing_of_the_first(cookie: str):
    state = root(cookie)
    await ask(state, HYDRATE)
    fleet = await state.get_state(FleetState)
    fleet.q = "secret project"
    other = await sessions.sign_in("viewer@example.com", PASSWORD, "192.0.2.1", "a test")
    state.router_data = {"headers": {"cookie": f"{sessions.COOKIE}={other.token}"}}
    await ask(state, HYDRATE)
    assert (await state.get_state(FleetState)).q == ""
    page = await state.get_state(AppState)
    assert page.email == "viewer@example.com"
    assert not page.may_operate
