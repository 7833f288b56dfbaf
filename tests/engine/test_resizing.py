"""Another tier: what the row says is what the machine has, however the operation ends."""

from collections.abc import Callable

from lebureau_app.models import Desktop, Status
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import desktops, operations
from lebureau_app.services.desktops import Changes, NewDesktop
from tests.engine.conftest import Fleet


def settled(desktop: Desktop) -> bool:
    return desktop.task is None


def has_tier(tier: str) -> Callable[[Desktop], bool]:
    return lambda row: settled(row) and row.tier == tier


async def stopped(fleet: Fleet) -> Desktop:
    desktop = await desktops.create(fleet.caller, NewDesktop(name="one"))
    await fleet.until(desktop.id, lambda row: row.status == Status.RUNNING and settled(row))
    await desktops.stop(fleet.caller, desktop.id)
    return await fleet.until(desktop.id, lambda row: row.status == Status.STOPPED and settled(row))


def size_of_the_machine(fleet: Fleet, desktop: Desktop) -> int:
    return fleet.provider.machines[desktop.id].spec.memory


async def test_what_fails_leaves_the_tier_as_it_was_and_can_be_retried(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = FakeBehaviour(never=frozenset({"take_snapshot"}))
        await desktops.change(fleet.caller, desktop.id, Changes(tier="pro", snapshot=True))
        await desktops.cancel(fleet.caller, desktop.id)
        cancelled = await fleet.until(desktop.id, has_tier("free"))
        assert cancelled.memory == 4 << 30
        assert size_of_the_machine(fleet, desktop) == 4 << 30

        fleet.provider.behaviour = FakeBehaviour()
        page = await operations.list_operations(fleet.caller, desktop.id, limit=1)
        await operations.retry(fleet.caller, page.rows[0].id)
        again = await fleet.until(desktop.id, lambda row: settled(row) and row.needs_attention)
        assert (page.rows[0].kind, again.tier) == ("reconfigure", "free")


async def test_without_an_undo_a_retry_gets_there(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await stopped(fleet)
        fleet.provider.behaviour = FakeBehaviour(never=frozenset({"resize"}))
        await desktops.change(fleet.caller, desktop.id, Changes(tier="pro"))
        await desktops.cancel(fleet.caller, desktop.id)
        await fleet.until(desktop.id, has_tier("free"))
        fleet.provider.behaviour = FakeBehaviour()
        page = await operations.list_operations(fleet.caller, desktop.id, limit=1)
        await operations.retry(fleet.caller, page.rows[0].id)
        resized = await fleet.until(desktop.id, has_tier("pro"))
    assert resized.memory == size_of_the_machine(fleet, desktop) == 8 << 30
