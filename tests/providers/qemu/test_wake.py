"""A kept memory that cannot be resumed, and the moment at which it is used: real QEMU processes."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lebureau_app.errors import MemoryRefused, NotYet
from lebureau_app.providers.base import Machine, MachineSpec, Origin, Power
from lebureau_app.providers.qemu import hypervisor, memory, processes
from lebureau_app.providers.qemu.files import occupied
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from tests.providers.qemu.conftest import DESKTOP
from tests.support.eventually import eventually
from tests.support.notebook import Letters, Notebook
from tests.support.tiny_guest import NOTEBOOK, make_image

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

MIB = 1 << 20
SNAPSHOT, CHILD = "snp_1", "dsk_child"


def spec(desktop_id: str = DESKTOP, snapshot: str = "") -> MachineSpec:
    key = "ssh-ed25519 AAAA"
    return MachineSpec(
        desktop_id, "atlas", "tiny", 1, 64 * MIB, 64 * MIB, authorized_key=key, snapshot=snapshot
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        make_image(Path(folder) / "images", code=NOTEBOOK)
        yield Path(folder)


async def noted(provider: QemuProvider, folder: MachineFolder) -> str:
    ref = await provider.create(spec())
    await provider.start(DESKTOP, ref)
    await Notebook(folder).note("m", "d")
    return ref


@pytest.fixture
async def asleep(provider: QemuProvider, folder: MachineFolder) -> str:
    """A hibernated machine with letters in memory and on disk; its identity."""
    ref = await noted(provider, folder)
    await provider.hibernate(DESKTOP, ref)
    return ref


async def seen(provider: QemuProvider, ref: str) -> Machine:
    machine = await provider.inspect(DESKTOP, ref)
    assert machine is not None
    return machine


def qemu_dies(ref: str) -> Callable[..., Awaitable[None]]:
    """A `load` during which QEMU is killed."""
    load = hypervisor.migration.load

    async def dying(monitor, memory) -> None:
        os.kill(processes.by_uuid()[ref], signal.SIGKILL)
        await load(monitor, memory)

    return dying


async def test_a_machine_whose_qemu_dies_while_it_wakes_sleeps_on(
    asleep: str, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(hypervisor.migration, "load", qemu_dies(asleep))
        with pytest.raises(MemoryRefused):
            await provider.start(DESKTOP, asleep)
    assert (await seen(provider, asleep)).power is Power.HIBERNATED
    await provider.start(DESKTOP, asleep)
    assert (await seen(provider, asleep)).origin is Origin.HIBERNATION
    assert await Notebook(folder).read() == Letters("m", "d")


async def test_a_memory_of_another_qemu_is_tried_and_refused_with_both_versions(
    asleep: str, provider: QemuProvider, folder: MachineFolder
):
    record = folder.hibernation / "memory.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps(kept | {"qemu": "11.0.0"}))
    await provider.start(DESKTOP, asleep)
    assert await Notebook(folder).read() == Letters("m", "d")

    await provider.hibernate(DESKTOP, asleep)
    record.write_text(json.dumps(kept | {"qemu": "11.0.0"}))
    os.truncate(folder.hibernation / "memory", 4096)
    with pytest.raises(MemoryRefused) as refused:
        await provider.start(DESKTOP, asleep)
    here = (await provider.accelerator()).release
    assert "QEMU 11.0.0" in refused.value.message
    assert f"QEMU {here}" in refused.value.message
    assert "start it cold" in refused.value.hint
    assert (await seen(provider, asleep)).power is Power.HIBERNATED
    assert not processes.is_alive(asleep)

    await provider.start(DESKTOP, asleep, cold=True)
    assert await Notebook(folder).read() == Letters("-", "d")


async def test_a_server_killed_before_the_guest_goes_on_wakes_it_from_the_same_memory(
    asleep: str, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    async def cut_off(*_) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(hypervisor.migration, "load", cut_off)
        with pytest.raises(asyncio.CancelledError):
            await provider.start(DESKTOP, asleep)
    assert (await seen(provider, asleep)).power is Power.HIBERNATED
    assert not processes.is_alive(asleep)
    await provider.start(DESKTOP, asleep)
    assert await Notebook(folder).read() == Letters("m", "d")


async def test_a_server_killed_once_the_memory_is_used_lets_the_guest_go_on(
    asleep: str, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    use = MachineFolder.use_hibernation

    def cut_off(machine: MachineFolder) -> None:
        use(machine)
        raise RuntimeError("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(MachineFolder, "use_hibernation", cut_off)
        with pytest.raises(RuntimeError):
            await provider.start(DESKTOP, asleep)
    machine = await seen(provider, asleep)
    assert (machine.power, machine.origin) == (Power.RUNNING, Origin.HIBERNATION)
    assert await Notebook(folder).read() == Letters("m", "d")


async def test_a_qemu_that_falls_silent_with_the_memory_is_asked_again(
    asleep: str, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    use = MachineFolder.use_hibernation

    def dying(machine: MachineFolder) -> None:
        use(machine)
        os.kill(processes.by_uuid()[asleep], signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(MachineFolder, "use_hibernation", dying)
        with pytest.raises(NotYet):
            await provider.start(DESKTOP, asleep)
    await asyncio.to_thread(processes.wait_gone, asleep, 10)
    assert (await seen(provider, asleep)).power is Power.FAILED
    await provider.start(DESKTOP, asleep)
    assert (await seen(provider, asleep)).origin is Origin.BOOT
    assert await Notebook(folder).read() == Letters("-", "d")


async def test_a_memory_takes_room_for_as_long_as_its_machine_runs_on_it(
    asleep: str, provider: QemuProvider, folder: MachineFolder
):
    asleep_with = (await provider.storage(DESKTOP, asleep)).memory
    await provider.start(DESKTOP, asleep)
    assert not folder.is_hibernated()
    assert (await provider.storage(DESKTOP, asleep)).memory == asleep_with > 0
    await provider.stop(DESKTOP, asleep, force=True)
    assert (await provider.storage(DESKTOP, asleep)).memory == 0
    assert not folder.used_hibernation.exists()


async def test_the_memory_of_a_machine_that_runs_on_it_outlives_a_new_server(
    asleep: str, provider: QemuProvider, home: Path, folder: MachineFolder
):
    await provider.start(DESKTOP, asleep)
    await provider.close()
    await provider.open()
    assert folder.used_hibernation.exists()
    await provider.hibernate(DESKTOP, asleep)
    assert not folder.used_hibernation.exists()
    await provider.start(DESKTOP, asleep)
    assert await Notebook(folder).read() == Letters("m", "d")
    os.kill(processes.by_uuid()[asleep], signal.SIGKILL)
    await asyncio.to_thread(processes.wait_gone, asleep, 10)
    assert (await seen(provider, asleep)).power is Power.FAILED
    assert not folder.used_hibernation.exists()


async def test_a_memory_that_an_earlier_le_bureau_kept_is_resumed(
    provider: QemuProvider, folder: MachineFolder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "HEAD", 0)
    ref = await noted(provider, folder)
    await provider.hibernate(DESKTOP, ref)
    record = folder.hibernation / "memory.json"
    earlier = json.loads(record.read_text())
    del earlier["pages"], earlier["devices"]
    record.write_text(json.dumps(earlier))
    await provider.start(DESKTOP, ref)
    assert await Notebook(folder).read() == Letters("m", "d")


async def test_a_record_that_cannot_be_read_does_not_lose_the_memory(
    asleep: str, provider: QemuProvider, folder: MachineFolder
):
    record = folder.hibernation / "memory.json"
    whole = record.read_text()
    record.write_text("{}")
    with pytest.raises(MemoryRefused):
        await provider.start(DESKTOP, asleep)
    record.write_text(whole)
    await provider.start(DESKTOP, asleep)
    assert await Notebook(folder).read() == Letters("m", "d")


async def test_a_dropped_snapshot_stays_while_a_fork_runs_on_its_memory(
    provider: QemuProvider, folder: MachineFolder, home: Path
):
    ref = await noted(provider, folder)
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    child = await provider.create(spec(CHILD, SNAPSHOT))
    await provider.start(CHILD, child)
    await provider.settle(CHILD, child)
    await provider.drop_snapshot(SNAPSHOT)
    memory = home / "snapshots" / SNAPSHOT / "memory"
    assert memory.exists()
    assert (await provider.storage(CHILD, child)).memory == occupied(memory) > 0
    await provider.stop(CHILD, child, force=True)
    while await provider.tidy():
        pass
    assert not memory.exists()


async def test_the_memory_of_a_fork_that_is_gone_is_not_replaced_by_a_boot(
    provider: QemuProvider, folder: MachineFolder, home: Path
):
    ref = await noted(provider, folder)
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    child = await provider.create(spec(CHILD, SNAPSHOT))
    (home / "snapshots" / SNAPSHOT / "memory").unlink()
    with pytest.raises(MemoryRefused, match="memory is gone"):
        await provider.start(CHILD, child)
    await provider.start(CHILD, child, cold=True)
    machine = await provider.inspect(CHILD, child)
    assert machine is not None
    assert (machine.origin, machine.settled) == (Origin.FORK, False)


async def test_a_machine_that_has_woken_boots_after_a_reset(provider: QemuProvider, asleep: str):
    await provider.start(DESKTOP, asleep)
    await provider.restart(DESKTOP, asleep)

    async def greeted_again() -> bool:
        return (await provider.log_tail(DESKTOP, asleep, 1000)).count("U") == 2

    await eventually(greeted_again, seconds=60)
