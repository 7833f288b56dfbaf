"""Order on the disks: what is needed no more goes, and every desktop's account is right."""

import pytest

from lebureau_app.engine import upkeep as upkeep_module
from lebureau_app.engine.upkeep import Upkeep
from lebureau_app.models import Desktop, Status
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import desktop_state, desktops, snapshot_state, snapshots
from lebureau_app.services.desktops import NewDesktop
from tests.engine.conftest import Fleet


def settled(desktop: Desktop) -> bool:
    return desktop.task is None and desktop.status != Status.PROVISIONING


async def create(fleet: Fleet) -> Desktop:
    made = await desktops.create(fleet.caller, NewDesktop(name="one"))
    return await fleet.until(made.id, settled)


async def test_what_a_desktop_occupies_is_written_down(fleet: Fleet) -> None:
    async with fleet.working():
        desktop = await create(fleet)
        snapshot = await snapshots.take(fleet.caller, desktop.id)
        await fleet.until(desktop.id, settled)
        await desktops.hibernate(fleet.caller, desktop.id)
        await fleet.until(desktop.id, settled)
    await Upkeep(fleet.provider, fleet.settings).once()
    found = await desktop_state.load(desktop.id)
    kept = await snapshot_state.load(snapshot.id)
    assert found
    assert kept
    stored = await fleet.provider.storage(desktop.id, desktop.ref)
    assert found.storage == {
        "disk": stored.disk,
        "memory": stored.memory,
        "snapshots": kept.size,
    }
    assert found.storage["memory"] > 0


async def test_a_pass_is_bounded_and_stands_back_from_operations(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = 0

    async def never_done() -> bool:
        nonlocal pieces
        pieces += 1
        return True

    monkeypatch.setattr(fleet.provider, "tidy", never_done)
    await Upkeep(fleet.provider, fleet.settings).once()
    assert pieces == upkeep_module.MOST_PIECES
    await desktops.create(fleet.caller, NewDesktop(name="busy"))
    await Upkeep(fleet.provider, fleet.settings).once()
    assert pieces == upkeep_module.MOST_PIECES


async def test_one_trouble_keeps_nothing_else_from_being_done(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet.working():
        desktop = await create(fleet)
    fleet.provider.behaviour = FakeBehaviour(broken=frozenset({"tidy", "sweep_goldens"}))
    await Upkeep(fleet.provider, fleet.settings).once()
    found = await desktop_state.load(desktop.id)
    assert found
    assert found.storage["disk"] > 0
