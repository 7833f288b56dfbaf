"""What every provider promises about golden machines: one suite for all."""

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Golden, Origin, Power
from tests.contract.labs import DESKTOP, MIB, OTHER, Lab, spec
from tests.support.notebook import Letters

MAKER = "dsk_01J00000000000000000000009"
SNAPSHOT = "snp_01J00000000000000000000000"
WARM = Letters("g", "h")
"""What the golden machine knows."""
PICTURE = b"what is on its screen"


@pytest.fixture
async def golden(lab: Lab) -> Golden:
    """A golden machine that knows something."""
    ref = await lab.provider.create(spec(MAKER, golden=True))
    await lab.provider.start(MAKER, ref)
    await lab.note(WARM.memory, WARM.disk, MAKER)
    return await lab.provider.keep_golden(MAKER, ref, PICTURE)


async def test_the_machine_that_becomes_golden_is_a_machine_no_more(lab: Lab, golden: Golden):
    assert await lab.provider.inspect_all() == []
    assert await lab.provider.goldens() == [golden]
    assert await lab.provider.golden(spec()) == golden
    assert (golden.image, golden.vcpus, golden.memory) == ("tiny", 1, 64 * MIB)


async def test_a_newborn_knows_what_the_golden_machine_knew(lab: Lab, golden: Golden):
    ref = await lab.running()
    machine = await lab.seen(ref)
    assert (machine.power, machine.origin) == (Power.RUNNING, Origin.GOLDEN)
    assert (machine.settled, machine.note) == (False, "")
    assert await lab.read() == WARM


async def test_what_one_newborn_learns_no_other_knows(lab: Lab, golden: Golden):
    await lab.running()
    await lab.note("a", "b")
    await lab.running(OTHER)
    assert await lab.read(OTHER) == WARM
    await lab.note("c", "d", OTHER)
    assert await lab.read() == Letters("a", "b")


async def test_a_machine_of_another_size_boots(lab: Lab, golden: Golden):
    other = spec(memory=32 * MIB)
    assert await lab.provider.golden(other) is None
    ref = await lab.provider.create(other)
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.BOOT


async def test_a_newborn_that_starts_cold_begins_as_its_image_does(lab: Lab, golden: Golden):
    ref = await lab.provider.create(spec())
    await lab.provider.start(DESKTOP, ref, cold=True)
    machine = await lab.seen(ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert await lab.read() == Letters("-", "-")


async def test_a_newborn_begins_anew_until_it_is_settled(lab: Lab, golden: Golden):
    ref = await lab.running()
    await lab.note("a", "b")
    await lab.crash(ref)
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.GOLDEN
    assert await lab.read() == WARM


async def test_a_settled_machine_goes_on_from_its_own_disk(lab: Lab, golden: Golden):
    ref = await lab.running()
    await lab.provider.settle(DESKTOP, ref)
    assert (await lab.seen(ref)).settled
    await lab.note("a", "b")
    await lab.provider.stop(DESKTOP, ref, force=True)
    await lab.provider.start(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert await lab.read() == Letters("-", "b")


async def test_a_newborn_that_has_settled_hibernates_and_wakes(lab: Lab, golden: Golden):
    ref = await lab.running()
    await lab.provider.settle(DESKTOP, ref)
    await lab.note("a", "b")
    await lab.provider.hibernate(DESKTOP, ref)
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.HIBERNATION
    assert await lab.read() == Letters("a", "b")


async def test_a_newborn_that_has_settled_is_forked(lab: Lab, golden: Golden):
    ref = await lab.running()
    await lab.provider.settle(DESKTOP, ref)
    await lab.note("a", "b")
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    child = await lab.provider.create(spec(OTHER, snapshot=SNAPSHOT))
    await lab.provider.start(OTHER, child)
    assert (await lab.seen(child, OTHER)).origin is Origin.FORK
    assert await lab.read(OTHER) == Letters("a", "b")


async def test_golden_machines_outlive_the_server_and_the_sweep(lab: Lab, golden: Golden):
    await lab.provider.sweep_goldens()
    await lab.server_restart()
    assert await lab.provider.golden(spec()) == golden
    assert await lab.provider.golden_picture(golden) == PICTURE
    await lab.running()
    assert await lab.read() == WARM


async def test_one_without_a_screen_is_as_good(lab: Lab):
    ref = await lab.provider.create(spec(MAKER, golden=True))
    await lab.provider.start(MAKER, ref)
    golden = await lab.provider.keep_golden(MAKER, ref)
    assert await lab.provider.golden_picture(golden) == b""
    assert (await lab.seen(await lab.running())).origin is Origin.GOLDEN


async def test_only_a_running_machine_that_was_made_for_it_becomes_golden(lab: Lab):
    ref = await lab.running()
    with pytest.raises(ProviderError):
        await lab.provider.keep_golden(DESKTOP, ref)
    maker = await lab.provider.create(spec(MAKER, golden=True))
    with pytest.raises(ProviderError):
        await lab.provider.keep_golden(MAKER, maker)
