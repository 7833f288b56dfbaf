"""A guest's identity: given over the hypervisor's channel, or handed over SSH, not both at once."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import asyncssh
import pytest

from lebureau_app.engine.identity import Identities, host_key
from lebureau_app.engine.simulated_link import SimulatedLink
from lebureau_app.errors import GuestError, NotYet
from lebureau_app.guest import inject
from lebureau_app.models import Desktop, Light, Status
from lebureau_app.providers.base import GuestAnswer, Machine
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import channels, desktop_state, desktops
from lebureau_app.services.desktops import NewDesktop
from tests.engine.conftest import Fleet

GOLDEN = pytest.mark.parametrize("fleet", [FakeBehaviour(golden=True)], indirect=True)
CONNECTION: Any = AsyncMock(spec=asyncssh.SSHClientConnection)


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """What was handed over SSH."""
    applied = AsyncMock()
    monkeypatch.setattr(inject, "apply", applied)
    return applied


async def born(fleet: Fleet) -> tuple[Desktop, Machine]:
    """A desktop whose machine has been resumed and knows nothing of it yet."""
    desktop = await desktops.create(fleet.caller, NewDesktop(name="one"))
    ref = await fleet.provider.create(desktop_state.spec_of(desktop, ""))
    await fleet.provider.start(desktop.id, ref)
    machine = await fleet.provider.inspect(desktop.id, ref)
    assert machine
    await desktop_state.note(desktop.id, ref=ref, boot=machine.boot, status=Status.RUNNING)
    return await loaded(desktop), machine


async def loaded(desktop: Desktop) -> Desktop:
    found = await desktop_state.load(desktop.id)
    assert found
    return found


@GOLDEN
async def test_who_was_told_is_not_told_again_over_ssh(
    fleet: Fleet, handed_over: AsyncMock
) -> None:
    identities = Identities(fleet.provider, fleet.settings)
    desktop, machine = await born(fleet)
    await identities.give(desktop, machine)
    desktop = await loaded(desktop)
    assert desktop.identified == machine.boot
    assert desktop.host_key.startswith("ssh-ed25519 ")
    assert await identities.hand_over(CONNECTION, desktop)
    handed_over.assert_not_called()
    assert not await identities.hand_over(CONNECTION, desktop)
    handed_over.assert_called_once()


@GOLDEN
async def test_what_has_changed_since_is_told(fleet: Fleet, handed_over: AsyncMock) -> None:
    identities = Identities(fleet.provider, fleet.settings)
    desktop, machine = await born(fleet)
    await identities.give(desktop, machine)
    await desktop_state.note(desktop.id, name="another-name")
    await identities.hand_over(CONNECTION, await loaded(desktop))
    handed_over.assert_called_once()


@GOLDEN
async def test_a_machine_is_not_settled_before_its_guest_has_answered(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = Identities(fleet.provider, fleet.settings)
    desktop, machine = await born(fleet)
    for fault in (NotYet(), GuestAnswer(1, b'{"ok": false, "error": "no room"}', b"")):
        answers = AsyncMock(side_effect=[fault])
        monkeypatch.setattr(fleet.provider, "run_in_guest", answers)
        with pytest.raises((NotYet, GuestError)):
            await identities.give(desktop, machine)
    seen = await fleet.provider.inspect(desktop.id, desktop.ref)
    assert seen
    assert not seen.settled
    assert (await loaded(desktop)).identified == ""


def test_a_host_key_is_pinned_without_its_comment() -> None:
    assert host_key("ssh-ed25519 AAAA root@golden\n") == "ssh-ed25519 AAAA"
    with pytest.raises(GuestError):
        host_key("ssh-rsa AAAA")


@GOLDEN
async def test_a_desktop_runs_when_ssh_answers_and_is_seen_before(fleet: Fleet) -> None:
    may_answer = asyncio.Event()

    class SlowToAnswer(SimulatedLink):
        async def run(self) -> None:
            await desktop_state.set_lights(self.desktop_id, ["screen"], Light.READY)
            await may_answer.wait()
            await super().run()

    fleet.links._make = SlowToAnswer
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name="one"))
        seen = await fleet.until(made.id, lambda it: it.readiness["screen"]["state"] == "ready")
        assert seen.status == Status.PROVISIONING
        assert await channels.screenshot(fleet.caller, made.id, None)
        may_answer.set()
        await fleet.until(made.id, lambda it: it.status == Status.RUNNING)
