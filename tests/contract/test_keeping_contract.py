"""What every provider promises about memories and states that are kept: one suite for all."""

import asyncio

import pytest

from lebureau_app.errors import NoCapacity, ProviderError
from lebureau_app.providers.base import Machine, Origin, Power
from tests.contract.labs import DESKTOP, MIB, OTHER, Lab, spec
from tests.support.notebook import Letters

SNAPSHOT = "snp_01J00000000000000000000000"
THIRD = "dsk_01J00000000000000000000002"


async def noted(lab: Lab, memory: str = "m", disk: str = "d") -> str:
    """A running machine with letters in memory and on disk; its identity."""
    ref = await lab.running()
    await lab.note(memory, disk)
    return ref


async def hibernated(lab: Lab) -> str:
    ref = await noted(lab)
    await lab.provider.hibernate(DESKTOP, ref)
    return ref


async def off(lab: Lab, ref: str, desktop_id: str = DESKTOP) -> None:
    await lab.provider.stop(desktop_id, ref, force=True)


async def restored(lab: Lab, ref: str) -> Machine:
    """The machine, started from the snapshot."""
    await off(lab, ref)
    await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.provider.start(DESKTOP, ref)
    return await lab.seen(ref)


async def forked(lab: Lab, desktop_id: str = OTHER) -> str:
    """A running machine born of the snapshot; its identity."""
    ref = await lab.provider.create(spec(desktop_id, snapshot=SNAPSHOT))
    await lab.provider.start(desktop_id, ref)
    return ref


async def test_a_hibernated_machine_wakes_where_it_was(lab: Lab):
    ref = await noted(lab)
    boot = (await lab.seen(ref)).boot
    await lab.provider.hibernate(DESKTOP, ref)
    asleep = await lab.seen(ref)
    assert (asleep.power, asleep.boot) == (Power.HIBERNATED, "")
    await lab.provider.start(DESKTOP, ref)
    awake = await lab.seen(ref)
    assert (awake.power, awake.origin, awake.settled) == (Power.RUNNING, Origin.HIBERNATION, False)
    assert awake.boot not in ("", boot)
    assert await lab.read() == Letters("m", "d")
    await lab.provider.settle(DESKTOP, ref)
    assert (await lab.seen(ref)).settled


async def test_hibernating_again_changes_nothing(lab: Lab):
    ref = await hibernated(lab)
    await lab.provider.hibernate(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.HIBERNATED
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_hibernated_machine_outlives_the_server(lab: Lab):
    ref = await hibernated(lab)
    await lab.server_restart()
    (machine,) = await lab.provider.inspect_all()
    assert (machine.ref, machine.power) == (ref, Power.HIBERNATED)
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_machine_hibernates_many_times(lab: Lab):
    ref = await noted(lab)
    for letter in "xyz":
        await lab.note(letter, letter)
        await lab.provider.hibernate(DESKTOP, ref)
        await lab.provider.start(DESKTOP, ref)
        assert await lab.read() == Letters(letter, letter)


async def test_a_machine_that_is_off_has_nothing_to_hibernate(lab: Lab):
    ref = await lab.running()
    await off(lab, ref)
    with pytest.raises(ProviderError):
        await lab.provider.hibernate(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.STOPPED


async def test_a_hibernated_memory_is_resumed_once(lab: Lab):
    ref = await hibernated(lab)
    await lab.provider.start(DESKTOP, ref)
    await lab.note("n", "e")
    await lab.crash(ref)
    assert (await lab.seen(ref)).power is Power.FAILED
    await lab.provider.start(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert await lab.read() == Letters("-", "e")


async def test_a_cold_start_gives_the_memory_up_and_keeps_the_disk(lab: Lab):
    ref = await hibernated(lab)
    await lab.provider.start(DESKTOP, ref, cold=True)
    assert (await lab.seen(ref)).origin is Origin.BOOT
    assert await lab.read() == Letters("-", "d")
    await off(lab, ref)
    assert (await lab.seen(ref)).power is Power.STOPPED


async def test_a_hibernated_machine_is_left_alone_by_stop_and_resize(lab: Lab):
    ref = await hibernated(lab)
    await lab.provider.stop(DESKTOP, ref)
    await lab.provider.stop(DESKTOP, ref, force=True)
    with pytest.raises(ProviderError):
        await lab.provider.resize(DESKTOP, ref, vcpus=2, memory=96 * MIB, disk=128 * MIB)
    assert (await lab.seen(ref)).power is Power.HIBERNATED
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_hibernated_machine_is_destroyed_without_a_trace(lab: Lab):
    ref = await hibernated(lab)
    await lab.provider.destroy(DESKTOP, ref)
    assert lab.traces(ref) == []


async def test_what_a_machine_occupies_is_known(lab: Lab):
    ref = await noted(lab)
    awake = await lab.provider.storage(DESKTOP, ref)
    assert awake.disk > 0
    assert awake.memory == 0
    await lab.provider.hibernate(DESKTOP, ref)
    assert (await lab.provider.storage(DESKTOP, ref)).memory > 0


async def test_a_full_disk_refuses_to_hibernate_and_the_machine_goes_on(lab: Lab):
    ref = await noted(lab)
    boot = (await lab.seen(ref)).boot
    lab.fill_disk()
    with pytest.raises(NoCapacity) as refused:
        await lab.provider.hibernate(DESKTOP, ref)
    assert refused.value.message
    assert (await lab.seen(ref)).boot == boot
    assert await lab.read() == Letters("m", "d")


async def test_a_full_disk_refuses_a_snapshot_and_nothing_changes(lab: Lab):
    ref = await noted(lab)
    lab.fill_disk()
    with pytest.raises(NoCapacity):
        await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert await lab.provider.stored_snapshots() == []
    assert await lab.read() == Letters("m", "d")


async def test_a_machine_goes_on_while_a_snapshot_of_it_is_kept(lab: Lab):
    ref = await noted(lab)
    boot = (await lab.seen(ref)).boot
    stored = await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert (stored.id, stored.desktop_id, stored.memory) == (SNAPSHOT, DESKTOP, True)
    assert stored.size > 0
    assert await lab.provider.stored_snapshots() == [stored]
    machine = await lab.seen(ref)
    assert (machine.power, machine.boot) == (Power.RUNNING, boot)
    assert await lab.read() == Letters("m", "d")


async def test_a_snapshot_is_what_it_was_when_it_was_taken_first(lab: Lab):
    ref = await noted(lab)
    first = await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.note("n", "e")
    assert await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT) == first
    await restored(lab, ref)
    assert await lab.read() == Letters("m", "d")


async def test_restoring_a_running_machines_snapshot_resumes_it(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.note("n", "e")
    machine = await restored(lab, ref)
    assert (machine.origin, machine.settled) == (Origin.SNAPSHOT, False)
    assert await lab.read() == Letters("m", "d")


async def test_restoring_a_stopped_machines_snapshot_leaves_it_to_boot(lab: Lab):
    ref = await noted(lab)
    await off(lab, ref)
    stored = await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert not stored.memory
    await lab.provider.start(DESKTOP, ref)
    await lab.note("n", "e")
    machine = await restored(lab, ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert await lab.read() == Letters("-", "d")


async def test_a_hibernated_machine_is_kept_with_its_memory_and_sleeps_on(lab: Lab):
    ref = await hibernated(lab)
    stored = await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert stored.memory
    assert (await lab.seen(ref)).power is Power.HIBERNATED
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")
    await lab.note("n", "e")
    machine = await restored(lab, ref)
    assert machine.origin is Origin.SNAPSHOT
    assert await lab.read() == Letters("m", "d")


async def test_a_hibernated_machine_can_be_restored(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.note("n", "e")
    await lab.provider.hibernate(DESKTOP, ref)
    await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    assert (await lab.seen(ref)).power is Power.STOPPED
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_restored_machine_begins_anew_until_it_is_settled(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await restored(lab, ref)
    await lab.note("n", "e")
    await lab.crash(ref)
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.SNAPSHOT
    assert await lab.read() == Letters("m", "d")
    await lab.provider.settle(DESKTOP, ref)
    await lab.note("n", "e")
    await lab.crash(ref)
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.BOOT
    assert await lab.read() == Letters("-", "e")


async def test_a_restored_machine_that_never_started_can_be_kept(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await off(lab, ref)
    await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    assert (await lab.provider.take_snapshot(DESKTOP, ref, "snp_again")).memory
    await lab.provider.restore_snapshot(DESKTOP, ref, "snp_again")
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_snapshot_brings_the_size_back(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await off(lab, ref)
    await lab.provider.resize(DESKTOP, ref, vcpus=2, memory=96 * MIB, disk=128 * MIB)
    await restored(lab, ref)
    assert await asyncio.to_thread(lab.disk_size) == 64 * MIB
    assert await lab.read() == Letters("m", "d")


async def test_only_a_machine_that_is_off_and_only_its_own_snapshot_is_restored(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    other = await lab.running(OTHER)
    with pytest.raises(ProviderError, match="running"):
        await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    with pytest.raises(ProviderError, match="no snapshot"):
        await lab.provider.take_snapshot(OTHER, other, SNAPSHOT)
    await off(lab, other, OTHER)
    with pytest.raises(ProviderError, match="no snapshot"):
        await lab.provider.restore_snapshot(OTHER, other, SNAPSHOT)
    await off(lab, ref)
    with pytest.raises(ProviderError, match="no snapshot"):
        await lab.provider.restore_snapshot(DESKTOP, ref, "snp_unknown")


async def test_a_dropped_snapshot_is_gone_and_machines_born_of_it_live_on(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    child = await lab.provider.create(spec(OTHER, snapshot=SNAPSHOT))
    for _ in range(2):
        await lab.provider.drop_snapshot(SNAPSHOT)
    await tidied(lab)
    assert await lab.provider.stored_snapshots() == []
    await lab.provider.start(OTHER, child)
    assert await lab.read(OTHER) == Letters("m", "d")
    assert await lab.read() == Letters("m", "d")
    await off(lab, ref)
    with pytest.raises(ProviderError, match="no snapshot"):
        await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("-", "d")


async def tidied(lab: Lab) -> None:
    """Let the provider do its housekeeping to the end."""
    async with asyncio.timeout(60):
        while await lab.provider.tidy():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_forks_are_machines_of_their_own(lab: Lab):
    parent = await noted(lab)
    boot = (await lab.seen(parent)).boot
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    children = {OTHER: await forked(lab), THIRD: await forked(lab, THIRD)}
    for desktop_id, ref in children.items():
        machine = await lab.seen(ref, desktop_id)
        assert (machine.origin, machine.settled) == (Origin.FORK, False)
        assert await lab.read(desktop_id) == Letters("m", "d")
        await lab.provider.settle(desktop_id, ref)
    assert len({parent, *children.values()}) == 3
    await lab.note("x", "y", OTHER)
    assert await lab.read(THIRD) == Letters("m", "d")
    assert await lab.read() == Letters("m", "d")
    assert (await lab.seen(parent)).boot == boot


async def test_a_fork_goes_on_from_its_own_disk_once_it_is_settled(lab: Lab):
    parent = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    child = await forked(lab)
    await lab.note("n", "e", OTHER)
    await off(lab, child, OTHER)
    await lab.provider.start(OTHER, child)
    assert await lab.read(OTHER) == Letters("m", "d")
    await lab.provider.settle(OTHER, child)
    await lab.note("n", "e", OTHER)
    await off(lab, child, OTHER)
    await lab.provider.start(OTHER, child)
    assert (await lab.seen(child, OTHER)).origin is Origin.BOOT
    assert await lab.read(OTHER) == Letters("-", "e")


async def test_a_fork_of_a_stopped_machine_boots_and_still_needs_an_identity(lab: Lab):
    parent = await noted(lab)
    await off(lab, parent)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    child = await forked(lab)
    machine = await lab.seen(child, OTHER)
    assert (machine.origin, machine.settled) == (Origin.FORK, False)
    assert await lab.read(OTHER) == Letters("-", "d")
    await lab.provider.settle(OTHER, child)
    await off(lab, child, OTHER)
    await lab.provider.start(OTHER, child)
    machine = await lab.seen(child, OTHER)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)


async def test_a_fork_that_starts_cold_still_needs_an_identity(lab: Lab):
    parent = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    child = await lab.provider.create(spec(OTHER, snapshot=SNAPSHOT))
    await lab.provider.start(OTHER, child, cold=True)
    machine = await lab.seen(child, OTHER)
    assert (machine.origin, machine.settled) == (Origin.FORK, False)
    assert await lab.read(OTHER) == Letters("-", "d")


async def test_a_fork_has_the_size_of_the_snapshot(lab: Lab):
    parent = await lab.provider.create(spec())
    await lab.provider.resize(DESKTOP, parent, vcpus=1, memory=64 * MIB, disk=128 * MIB)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    await lab.provider.destroy(DESKTOP, parent)
    child = await lab.provider.create(spec(snapshot=SNAPSHOT))
    assert await asyncio.to_thread(lab.disk_size) == 128 * MIB
    await lab.provider.start(DESKTOP, child)
    assert (await lab.seen(child)).power is Power.RUNNING


async def test_a_fork_of_nothing_leaves_nothing(lab: Lab):
    with pytest.raises(ProviderError, match="no snapshot"):
        await lab.provider.create(spec(snapshot="snp_unknown"))
    assert await lab.provider.inspect_all() == []


async def test_the_children_of_a_destroyed_machine_live_on(lab: Lab):
    parent = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    child = await forked(lab)
    await lab.provider.settle(OTHER, child)
    await lab.provider.destroy(DESKTOP, parent)
    await lab.provider.drop_snapshot(SNAPSHOT)
    await tidied(lab)
    assert await lab.read(OTHER) == Letters("m", "d")
    await off(lab, child, OTHER)
    await lab.provider.start(OTHER, child)
    assert await lab.read(OTHER) == Letters("-", "d")


async def test_a_guest_without_an_identity_is_not_kept(lab: Lab):
    parent = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, parent, SNAPSHOT)
    child = await forked(lab)
    with pytest.raises(ProviderError, match="identity"):
        await lab.provider.hibernate(OTHER, child)
    with pytest.raises(ProviderError, match="identity"):
        await lab.provider.take_snapshot(OTHER, child, "snp_early")
    assert (await lab.seen(child, OTHER)).power is Power.RUNNING
    await off(lab, child, OTHER)
    with pytest.raises(ProviderError, match="never been used"):
        await lab.provider.take_snapshot(OTHER, child, "snp_early")
