"""The server is killed (`kill -9`), alone or with QEMU, at each step of keeping and bringing back.

Whatever the step, nothing is lost, nobody stays paused, and who comes next goes on.
"""

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Machine, Origin, Power
from lebureau_app.providers.qemu import memory, processes
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP, running
from tests.providers.qemu.dying import SNAPSHOT, born, killed, spec
from tests.support.eventually import eventually
from tests.support.notebook import Letters, Notebook
from tests.support.tiny_guest import NOTEBOOK

GUEST = NOTEBOOK

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

CHILD = "dsk_01J00000000000000000000001"

HIBERNATING = [
    "memory.save-",
    "memory.migration.finish-",
    "memory.migration.save_devices-",
    "memory.ramfile.add_devices+",
    "memory.save+",
    "hibernation.persist+",
    "hibernation.write_record+",
    "keeping.hibernation.keep_memory+",
    "hypervisor.processes.wait_gone-",
    "machine.MachineFolder.write_boot-",
]
WAKING = [
    "birth.Births.beginning+",
    "hypervisor.processes.spawn+",
    "hypervisor.migration.load-",
    "hypervisor.migration.load+",
    "machine.MachineFolder.use_hibernation-",
]
SNAPSHOTTING = [
    "handover.Handover.begin+",
    "memory.migration.finish-",
    "memory.migration.save_devices-",
    "memory.ramfile.add_devices+",
    "memory.save+",
    "handover.Handover.remember+",
    "keeping._change_disk+",
    "handover.ramfile.blank_stale_pages+",
    "handover.os.link-",
    "handover.os.link+",
    "snapshots.SnapshotFolder.complete-",
    "snapshots.SnapshotFolder.complete+",
    "handover.Handover.finish+",
]
KEEPING_WHAT_IS_OFF = [
    "handover.Handover.begin+",
    "handover.os.link+",
    "snapshots.SnapshotFolder.complete-",
    "handover.Handover.finish+",
]
RESTORING = [
    "restoring.write_record+",
    "machine.MachineFolder.use_hibernation+",
    "restoring.make_overlay+",
    "restoring.Restoring._change_disk+",
    "machine.MachineFolder.write_identity+",
    "machine.MachineFolder.write_pending+",
    "machine.MachineFolder.write_boot+",
    "restoring.Restoring.carry_out+",
]
FORKING = [
    "provider.make_overlay+",
    "machine.MachineFolder.write_pending+",
    "machine.MachineFolder.write_identity+",
    "hypervisor.processes.spawn+",
    "hypervisor.migration.load+",
    "hypervisor.Hypervisor.resume+",
]


@pytest.fixture
async def ref(provider: QemuProvider, guest: Notebook) -> str:
    """A running machine that knows `m` by heart and has `d` on disk."""
    made = await born(provider, DESKTOP)
    await guest.note("m", "d")
    return made


@pytest.fixture
def guest(folder: MachineFolder) -> Notebook:
    return Notebook(folder)


@pytest.fixture
def child(home: Path) -> Notebook:
    return Notebook(MachineFolder(Settings(home=home), CHILD))


async def seen(provider: QemuProvider, ref: str) -> Machine:
    machine = await provider.inspect(DESKTOP, ref)
    assert machine is not None
    return machine


async def power_fails(home: Path) -> None:
    """Kill every QEMU of this home."""
    for pid in running(home):
        os.kill(pid, signal.SIGKILL)

    async def look() -> bool:
        return not running(home)

    await eventually(look)


async def goes_back(provider: QemuProvider, ref: str) -> None:
    """Let the machine be off, and what its snapshot says it was, and on again."""
    await provider.stop(DESKTOP, ref, force=True)
    await provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.start(DESKTOP, ref)


def nothing_is_left_over(home: Path, machine: MachineFolder) -> None:
    """No note, no draft, no snapshot but the one there is."""
    parts = {entry.name for entry in machine.path.iterdir()}
    assert not {name for name in parts if name.endswith((".new", ".link", ".copy"))}
    assert not parts & {"handover.json", "restoring.json"}
    assert {entry.name for entry in (home / "snapshots").iterdir()} <= {SNAPSHOT}
    assert {entry.name for entry in (home / "desktops").iterdir()} <= {DESKTOP, CHILD}


@pytest.mark.parametrize("step", HIBERNATING)
async def test_the_server_dies_while_a_machine_is_hibernated(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await killed(home, "hibernated", step)
    await provider.open()
    if (await seen(provider, ref)).power is Power.RUNNING:
        assert await guest.read() == Letters("m", "d")
    await provider.hibernate(DESKTOP, ref)
    assert (await seen(provider, ref)).power is Power.HIBERNATED
    assert running(home) == []
    nothing_is_left_over(home, folder)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("step", HIBERNATING[1::2])
async def test_the_power_fails_while_a_machine_is_hibernated(
    provider: QemuProvider, home: Path, guest: Notebook, ref: str, step: str
):
    await killed(home, "hibernated", step)
    await power_fails(home)
    await provider.open()
    asleep = (await seen(provider, ref)).power is Power.HIBERNATED
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m" if asleep else "-", "d")


@pytest.mark.parametrize("step", WAKING)
async def test_the_server_dies_while_a_machine_wakes(
    provider: QemuProvider, home: Path, guest: Notebook, ref: str, step: str
):
    await provider.hibernate(DESKTOP, ref)
    await killed(home, "woken", step)
    await provider.open()
    assert (await seen(provider, ref)).power is Power.HIBERNATED
    assert running(home) == []
    await provider.start(DESKTOP, ref)
    assert (await seen(provider, ref)).origin is Origin.HIBERNATION
    assert await guest.read() == Letters("m", "d")


async def test_a_machine_whose_memory_has_been_taken_out_of_use_is_not_left_paused(
    provider: QemuProvider, home: Path, guest: Notebook, ref: str
):
    await provider.hibernate(DESKTOP, ref)
    await killed(home, "woken", "machine.MachineFolder.use_hibernation+")
    await provider.open()
    assert (await seen(provider, ref)).power is Power.RUNNING
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("step", SNAPSHOTTING)
async def test_the_server_dies_while_a_snapshot_is_taken(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    boot = (await seen(provider, ref)).boot
    await killed(home, "snapped", step)
    await provider.open()
    assert (await seen(provider, ref)).boot == boot
    assert await guest.read() == Letters("m", "d")
    assert (await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)).memory
    nothing_is_left_over(home, folder)
    await guest.note("n", "e")
    await goes_back(provider, ref)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("step", SNAPSHOTTING)
async def test_the_power_fails_while_a_snapshot_is_taken(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await killed(home, "snapped", step)
    if step == "keeping._change_disk+":
        await provider.inspect(DESKTOP, ref)
        await guest.note("n", "e")
    await power_fails(home)
    await provider.open()
    taken = await provider.stored_snapshots()
    await provider.start(DESKTOP, ref)
    last = (await guest.read()).disk
    assert last in ("d", "e")
    stored = await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert taken in ([], [stored])
    nothing_is_left_over(home, folder)
    await goes_back(provider, ref)
    assert await guest.read() == (Letters("m", "d") if taken else Letters("-", last))


@pytest.mark.parametrize("step", KEEPING_WHAT_IS_OFF)
async def test_the_server_dies_while_a_stopped_machine_is_kept(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await provider.stop(DESKTOP, ref, force=True)
    await killed(home, "snapped", step)
    await provider.open()
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("-", "d")
    await provider.stop(DESKTOP, ref, force=True)
    assert not (await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)).memory
    nothing_is_left_over(home, folder)


@pytest.mark.parametrize("step", KEEPING_WHAT_IS_OFF)
async def test_the_server_dies_while_a_hibernated_machine_is_kept(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await provider.hibernate(DESKTOP, ref)
    await killed(home, "snapped", step)
    await provider.open()
    assert (await seen(provider, ref)).power is Power.HIBERNATED
    assert (await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)).memory
    nothing_is_left_over(home, folder)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "d")
    await guest.note("n", "e")
    await goes_back(provider, ref)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("step", RESTORING)
async def test_the_server_dies_while_a_hibernated_machine_is_restored(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await guest.note("n", "e")
    await provider.hibernate(DESKTOP, ref)
    await killed(home, "restored", step)
    await provider.open()
    nothing_is_left_over(home, folder)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("step", FORKING)
async def test_the_server_dies_while_a_fork_is_born(
    provider: QemuProvider,
    home: Path,
    folder: MachineFolder,
    guest: Notebook,
    child: Notebook,
    ref: str,
    step: str,
):
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await killed(home, "forked", step, CHILD)
    await provider.open()
    await provider.inspect_all()
    twin = await provider.create(replace(spec(CHILD), snapshot=SNAPSHOT))
    await provider.start(CHILD, twin)
    assert await child.read() == Letters("m", "d")
    assert await guest.read() == Letters("m", "d")
    assert len(running(home)) == 2
    nothing_is_left_over(home, folder)


@pytest.mark.parametrize("verb", ["hibernate", "take_snapshot"])
async def test_a_qemu_that_dies_while_its_memory_is_saved_loses_nothing_on_disk(
    provider: QemuProvider, guest: Notebook, ref: str, verb: str, monkeypatch: pytest.MonkeyPatch
):
    async def die(*_: object) -> None:
        await asyncio.to_thread(processes.kill, ref)

    monkeypatch.setattr(memory.migration, "finish", die)
    snapshot = [SNAPSHOT] if verb == "take_snapshot" else []
    with pytest.raises(ProviderError):
        await getattr(provider, verb)(DESKTOP, ref, *snapshot)
    monkeypatch.undo()
    assert await provider.stored_snapshots() == []
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("-", "d")
