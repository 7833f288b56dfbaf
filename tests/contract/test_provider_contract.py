"""What every provider promises, asked of each of them: one suite for fake and qemu."""

import asyncio

import pytest

from lebureau_app.errors import NoCapacity, NotYet, ProviderError, UnknownMachine
from lebureau_app.providers.base import Power
from tests.contract.labs import DESKTOP, MIB, OTHER, FakeLab, Lab, spec


async def test_create_makes_one_machine_switched_off(lab: Lab):
    first = await lab.provider.create(spec())
    second = await lab.provider.create(spec())
    assert first == second
    (machine,) = await lab.provider.inspect_all()
    assert (machine.desktop_id, machine.ref) == (DESKTOP, first)
    assert (machine.power, machine.boot) == (Power.STOPPED, "")


async def test_start_is_idempotent_and_keeps_the_boot(lab: Lab):
    ref = await lab.running()
    boot = (await lab.seen(ref)).boot
    await lab.provider.start(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert machine.power is Power.RUNNING
    assert machine.boot == boot != ""


async def test_who_makes_way_goes_on_and_may_be_told_again(lab: Lab):
    ref = await lab.running()
    boot = (await lab.seen(ref)).boot
    for _ in range(2):
        await lab.provider.make_way(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert (machine.power, machine.boot) == (Power.RUNNING, boot)


async def test_the_guest_obeys_a_graceful_stop(lab: Lab):
    ref = await lab.running()
    await lab.up()
    await lab.provider.stop(DESKTOP, ref)
    machine = await lab.becomes(Power.STOPPED, ref)
    assert machine.reason == "Stopped by Le Bureau."
    await lab.provider.stop(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.STOPPED


async def test_a_forced_stop_is_immediate_and_the_machine_starts_again(lab: Lab):
    ref = await lab.running()
    boot = (await lab.seen(ref)).boot
    await lab.provider.stop(DESKTOP, ref, force=True)
    machine = await lab.seen(ref)
    assert (machine.power, machine.reason) == (Power.STOPPED, "Stopped by Le Bureau.")
    await lab.provider.start(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert machine.power is Power.RUNNING
    assert machine.boot != boot


async def test_restart_is_a_new_boot(lab: Lab):
    ref = await lab.running()
    boot = (await lab.seen(ref)).boot
    await lab.provider.restart(DESKTOP, ref)
    machine = await lab.seen(ref)
    assert machine.power is Power.RUNNING
    assert machine.boot not in ("", boot)


async def test_restart_switches_a_stopped_machine_on(lab: Lab):
    ref = await lab.running()
    await lab.provider.stop(DESKTOP, ref, force=True)
    await lab.provider.restart(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.RUNNING


async def test_a_killed_machine_has_failed_and_says_why(lab: Lab):
    ref = await lab.running()
    await lab.crash(ref)
    (machine,) = await lab.provider.inspect_all()
    assert machine.power is Power.FAILED
    assert machine.reason
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.RUNNING


async def test_stopping_a_failed_machine_makes_it_a_stopped_one(lab: Lab):
    ref = await lab.running()
    await lab.crash(ref)
    assert (await lab.seen(ref)).power is Power.FAILED
    await lab.provider.stop(DESKTOP, ref, force=True)
    assert (await lab.seen(ref)).power is Power.STOPPED


async def test_a_guest_that_shuts_down_is_told_from_a_crash(lab: Lab):
    ref = await lab.running()
    await lab.guest_shuts_down(ref)
    machine = await lab.becomes(Power.STOPPED, ref)
    assert machine.reason == "The guest shut down."


async def test_a_guest_that_shut_down_while_the_server_was_away_is_told_from_a_crash(lab: Lab):
    ref = await lab.running()
    await lab.guest_shuts_down(ref)
    await lab.server_restart()
    machine = await lab.becomes(Power.STOPPED, ref)
    assert machine.reason == "The guest shut down."


async def test_machines_outlive_the_server_and_are_found_again(lab: Lab):
    ref = await lab.running()
    before = await lab.seen(ref)
    endpoint = await lab.provider.endpoint(DESKTOP, ref, 22)
    await lab.server_restart()
    assert await lab.provider.inspect_all() == [before]
    assert await lab.provider.endpoint(DESKTOP, ref, 22) == endpoint
    await lab.provider.stop(DESKTOP, ref, force=True)
    assert (await lab.seen(ref)).power is Power.STOPPED


async def test_destroy_leaves_nothing(lab: Lab):
    ref = await lab.running()
    await lab.provider.destroy(DESKTOP, ref)
    assert lab.traces(ref) == []
    assert await lab.provider.inspect(DESKTOP, ref) is None
    assert await lab.provider.inspect_all() == []
    await lab.provider.destroy(DESKTOP, ref)


async def test_a_machine_of_somebody_else_is_not_touched(lab: Lab):
    ref = await lab.running()
    lab.tamper()
    before = lab.traces(ref)
    for verb in (lab.provider.destroy, lab.provider.stop, lab.provider.start):
        with pytest.raises(UnknownMachine):
            await verb(DESKTOP, ref)
    assert lab.traces(ref) == before != []
    assert await lab.provider.inspect(DESKTOP, ref) is None


async def test_a_wrong_identity_is_not_touched(lab: Lab):
    ref = await lab.running()
    with pytest.raises(UnknownMachine):
        await lab.provider.destroy(DESKTOP, "11111111-2222-3333-4444-555555555555")
    assert (await lab.seen(ref)).power is Power.RUNNING


async def test_an_unknown_machine_is_said_to_be_unknown(lab: Lab):
    assert await lab.provider.inspect(OTHER, "none") is None
    for verb in (lab.provider.start, lab.provider.stop, lab.provider.restart):
        with pytest.raises(UnknownMachine):
            await verb(OTHER, "none")
    with pytest.raises(UnknownMachine):
        await lab.provider.endpoint(OTHER, "none", 22)
    await lab.provider.destroy(OTHER, "none")


async def test_machines_do_not_disturb_each_other(lab: Lab):
    first, second = await asyncio.gather(lab.running(), lab.running(OTHER))
    assert first != second
    ports = {
        (await lab.provider.endpoint(DESKTOP, first, 22)).port,
        (await lab.provider.endpoint(OTHER, second, 22)).port,
    }
    await lab.provider.destroy(DESKTOP, first)
    assert (await lab.seen(second, OTHER)).power is Power.RUNNING
    assert len(ports) == 2 or isinstance(lab, FakeLab)


async def test_a_full_host_says_what_is_missing(lab: Lab):
    (host,) = (await lab.provider.capacity()).hosts
    with pytest.raises(NoCapacity) as refused:
        await lab.provider.check(spec(memory=host.memory_total + (1 << 40)))
    assert refused.value.message
    await lab.provider.check(spec())


async def test_capacity_counts_desktops(lab: Lab):
    await lab.provider.create(spec())
    (host,) = (await lab.provider.capacity()).hosts
    assert (host.online, host.provider, host.desktops) == (True, lab.provider.name, 1)
    assert 0 < host.memory_free <= host.memory_total
    assert 0 < host.disk_free <= host.disk_total


async def test_endpoints_are_on_the_loopback_and_only_of_running_machines(lab: Lab):
    ref = await lab.provider.create(spec())
    with pytest.raises(UnknownMachine):
        await lab.provider.endpoint(DESKTOP, ref, 22)
    await lab.running()
    endpoint = await lab.provider.endpoint(DESKTOP, ref, 22)
    assert endpoint.host == "127.0.0.1"
    assert 0 < endpoint.port < 65536


async def test_resize_needs_a_stopped_machine_and_never_shrinks(lab: Lab):
    ref = await lab.running()
    with pytest.raises(ProviderError, match="running"):
        await lab.provider.resize(DESKTOP, ref, vcpus=2, memory=96 * MIB, disk=128 * MIB)
    await lab.provider.stop(DESKTOP, ref, force=True)
    await lab.provider.resize(DESKTOP, ref, vcpus=2, memory=96 * MIB, disk=128 * MIB)
    await lab.provider.resize(DESKTOP, ref, vcpus=2, memory=96 * MIB, disk=32 * MIB)
    assert await asyncio.to_thread(lab.disk_size) == 128 * MIB
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).power is Power.RUNNING


async def test_a_guest_without_an_agent_or_file_is_not_ready_yet(lab: Lab, monkeypatch):
    monkeypatch.setattr("lebureau_app.providers.qemu.provider.AGENT_SECONDS", 0.2)
    ref = await lab.running()
    with pytest.raises(NotYet):
        await lab.provider.read_guest_file(DESKTOP, ref, "/etc/hostname")


async def test_the_log_can_be_read(lab: Lab):
    ref = await lab.running()
    await lab.up()
    assert await lab.provider.log_tail(DESKTOP, ref)
