"""When a link opens which door of a guest, and what it ends of what a copy has inherited."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import AsyncMock

import pytest

from lebureau_app.engine import guest_link as link_module
from lebureau_app.engine.guest_link import GuestLink
from lebureau_app.engine.identity import Identities
from lebureau_app.guest import screen, ssh
from lebureau_app.models import Light, RunStatus
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import desktop_state
from tests.engine.conftest import Fleet
from tests.engine.test_identity import born, loaded
from tests.engine.test_memory import run_of

GOLDEN = pytest.mark.parametrize("fleet", [FakeBehaviour(golden=True)], indirect=True)


class Doors:
    """A guest that shows its screen, and whose SSH never answers."""

    def __init__(self) -> None:
        self.is_drawn = AsyncMock(return_value=True)
        self.asked_ssh = asyncio.Event()

    async def connect(self, *_: object, **__: object) -> None:
        self.asked_ssh.set()
        await asyncio.Event().wait()


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Doors:
    made = Doors()
    monkeypatch.setattr(ssh, "connect", made.connect)
    monkeypatch.setattr(screen, "is_drawn", made.is_drawn)
    monkeypatch.setattr(link_module, "probe_terminal", AsyncMock())
    return made


def link_to(fleet: Fleet, desktop_id: str) -> GuestLink:
    identities = Identities(fleet.provider, fleet.settings)
    return GuestLink(desktop_id, fleet.provider, identities, fleet.settings)


@asynccontextmanager
async def linked(fleet: Fleet, desktop_id: str) -> AsyncIterator[GuestLink]:
    link = link_to(fleet, desktop_id)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@GOLDEN
async def test_who_has_an_identity_shows_its_screen_before_ssh_answers(
    fleet: Fleet, doors: Doors
) -> None:
    desktop, machine = await born(fleet)
    await Identities(fleet.provider, fleet.settings).give(desktop, machine)
    async with linked(fleet, desktop.id):
        lit = await fleet.until(
            desktop.id,
            lambda row: all(
                row.readiness[door]["state"] == Light.READY for door in ("screen", "terminal")
            ),
        )
    assert lit.readiness["ssh"]["state"] != Light.READY


@GOLDEN
async def test_no_door_is_opened_before_there_is_an_identity(fleet: Fleet, doors: Doors) -> None:
    desktop, machine = await born(fleet)
    await Identities(fleet.provider, fleet.settings).give(desktop, machine)
    await desktop_state.note(desktop.id, boot="another")
    async with linked(fleet, desktop.id), asyncio.timeout(20):
        await doors.asked_ssh.wait()
    doors.is_drawn.assert_not_called()


@GOLDEN
@pytest.mark.parametrize(
    ("origin", "at_work", "ends"),
    [("fork", False, 1), ("snapshot", False, 1), ("fork", True, 0), ("hibernation", False, 0)],
)
async def test_a_copy_ends_what_it_inherits_and_nothing_of_its_own(
    fleet: Fleet, origin: str, at_work: bool, ends: int
) -> None:
    desktop, _ = await born(fleet)
    await desktop_state.note(desktop.id, origin=origin)
    if at_work:
        await run_of(await loaded(desktop), RunStatus.RUNNING)
    agent = AsyncMock()
    await link_to(fleet, desktop.id)._end_inherited_runs(agent)
    assert agent.abort_all.await_count == ends


@GOLDEN
@pytest.mark.parametrize(
    ("origin", "takes_over", "with_key", "waits"),
    [
        ("golden", True, True, 1),
        ("golden", True, False, 0),
        ("golden", False, True, 0),
        ("fork", True, True, 0),
        ("hibernation", True, True, 0),
    ],
)
async def test_an_agent_that_learns_its_token_is_left_alone(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    origin: str,
    takes_over: bool,
    with_key: bool,
    waits: int,
) -> None:
    desktop, _ = await born(fleet)
    await desktop_state.note(desktop.id, origin=origin)
    keys = ["a key"] if with_key else []
    monkeypatch.setattr(desktop_state, "provider_keys_of", AsyncMock(return_value=keys))
    waited = AsyncMock()
    monkeypatch.setattr(link_module, "until_reloaded", waited)
    monkeypatch.setattr(link_module.OpenClaw, "connect", AsyncMock(side_effect=ConnectedError))
    with pytest.raises(ConnectedError):
        await link_to(fleet, desktop.id)._serve_agent(AsyncMock(), takes_over=takes_over)
    assert waited.await_count == waits


class ConnectedError(Exception):
    """Somebody wants to speak with the agent."""
