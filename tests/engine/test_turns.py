"""Few desktops at once are resumed where the CPU is emulated."""

from dataclasses import replace

import pytest

from lebureau_app.engine import turns as module
from lebureau_app.engine.turns import Turns
from lebureau_app.errors import NotYet
from lebureau_app.models import Desktop, Status
from lebureau_app.providers.base import Capacity
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.services import desktop_state, desktops
from tests.engine.conftest import Fleet
from tests.engine.test_operations import create, running


def with_hosts(provider: FakeProvider, *accelerators: str, vcpus: int = 1) -> FakeProvider:
    """The provider, with hosts that run their guests like that."""
    fake = provider.capacity

    async def capacity() -> Capacity:
        (host,) = (await fake()).hosts
        return Capacity([replace(host, accelerator=each, vcpus=vcpus) for each in accelerators])

    provider.capacity = capacity
    return provider


async def test_a_turn_is_taken_kept_and_given_back():
    turns = Turns(with_hosts(FakeProvider(), "tcg"))
    await turns.take("a")
    await turns.take("a")
    with pytest.raises(NotYet, match="its turn: this host resumes 1"):
        await turns.take("b")
    turns.give_back("a")
    await turns.take("b")
    turns.give_back("never there")


async def test_there_are_as_many_as_processors():
    turns = Turns(with_hosts(FakeProvider(), "tcg", vcpus=2))
    await turns.take("a")
    await turns.take("b")
    with pytest.raises(NotYet):
        await turns.take("c")


@pytest.mark.parametrize("accelerators", [("kvm",), ("tcg", "kvm"), ()])
async def test_nobody_waits_where_there_is_a_real_cpu(accelerators: tuple[str, ...]):
    turns = Turns(with_hosts(FakeProvider(), *accelerators))
    for desktop in range(20):
        await turns.take(str(desktop))


async def test_who_does_not_answer_loses_the_turn(monkeypatch: pytest.MonkeyPatch):
    turns = Turns(with_hosts(FakeProvider(), "tcg"))
    await turns.take("a")
    monkeypatch.setattr(module, "TURN_SECONDS", -1)
    await turns.take("b")


async def test_desktops_that_wake_together_all_get_their_turn(fleet: Fleet):
    with_hosts(fleet.provider, "tcg")
    asleep: list[Desktop] = []
    async with fleet.working():
        for name in ("one", "two", "three"):
            desktop = await fleet.until((await create(fleet, name)).id, running)
            await desktops.hibernate(fleet.caller, desktop.id)
            asleep.append(
                await fleet.until(
                    desktop.id, lambda row: row.status == Status.HIBERNATED and not row.task
                )
            )
        for desktop in asleep:
            await desktops.start(fleet.caller, desktop.id)
        for desktop in asleep:
            await fleet.until(desktop.id, running)


async def test_a_desktop_makes_way_once_it_can_be_used(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
):
    identified: list[str] = []

    async def make_way(desktop_id: str, ref: str) -> None:
        desktop = await desktop_state.load(desktop_id)
        identified.append(desktop.identified if desktop else "")

    monkeypatch.setattr(fleet.provider, "make_way", make_way)
    async with fleet.working():
        desktop = await fleet.until((await create(fleet, "one")).id, running)
    assert identified == [desktop.boot]
