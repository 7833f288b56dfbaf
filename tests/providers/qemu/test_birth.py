"""Machines that resume a golden one: real QEMU processes, tiny guests."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Golden, Machine, MachineSpec, Origin, Power
from lebureau_app.providers.qemu import golden as golden_module
from lebureau_app.providers.qemu import hypervisor, processes
from lebureau_app.providers.qemu.chain import layers
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP, says
from tests.support.tiny_guest import FILLING

GUEST = FILLING

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

MIB = 1 << 20
MAKER = "dsk_golden"


def spec(desktop_id: str = DESKTOP, image: str = "filling", golden: bool = False) -> MachineSpec:
    key = "ssh-ed25519 AAAAC3Nza test"
    return MachineSpec(
        desktop_id, "atlas", image, 1, 64 * MIB, 64 * MIB, authorized_key=key, golden=golden
    )


@pytest.fixture
async def golden(provider: QemuProvider, home: Path) -> Golden:
    """The golden machine, made by the first test and as it was for each other."""
    place, pristine = home / "goldens", home / "pristine"
    if not pristine.exists():
        made = await kept(provider)
        await copied(place, pristine)
        return made
    shutil.rmtree(place)
    await copied(pristine, place)
    (made,) = await provider.goldens()
    return made


async def copied(place: Path, to: Path) -> None:
    copy = ["cp", "-a", "--sparse=always", place, to]
    await asyncio.to_thread(subprocess.run, copy, check=True, timeout=60)


async def kept(provider: QemuProvider, image: str = "filling") -> Golden:
    maker = await running(provider, spec(MAKER, image, golden=True))
    await says(provider, MAKER, maker, "U")
    return await provider.keep_golden(MAKER, maker)


async def running(provider: QemuProvider, wanted: MachineSpec) -> str:
    ref = await provider.create(wanted)
    await provider.start(wanted.desktop_id, ref)
    return ref


async def seen(provider: QemuProvider, ref: str, desktop_id: str = DESKTOP) -> Machine:
    machine = await provider.inspect(desktop_id, ref)
    assert machine is not None
    return machine


def foundation(folder: MachineFolder) -> str:
    """The name of the folder whose disk the machine's disk stands on."""
    return layers(folder.disk)[1].parent.name


async def test_a_newborn_resumes_the_golden_machine(
    golden: Golden, provider: QemuProvider, folder: MachineFolder
):
    ref = await running(provider, spec())
    machine = await seen(provider, ref)
    assert (machine.power, machine.origin) == (Power.RUNNING, Origin.GOLDEN)
    assert (machine.note, machine.settled) == ("", False)
    assert not folder.serial_log.read_bytes(), "it has booted"
    await provider.stop(DESKTOP, ref)
    await says(provider, DESKTOP, ref, "F")


async def test_the_golden_machine_is_found_by_its_size(golden: Golden, provider: QemuProvider):
    assert await provider.golden(spec()) == golden
    assert await provider.goldens() == [golden]
    smaller = MachineSpec(DESKTOP, "atlas", "filling", 1, 32 * MIB, 64 * MIB, "ssh-ed25519 AAAA")
    assert await provider.golden(smaller) is None


async def test_the_machine_that_became_golden_is_gone(golden: Golden, provider: QemuProvider):
    assert await provider.inspect_all() == []
    assert golden.size > 0


async def test_a_settled_machine_goes_on_from_its_own_disk(
    golden: Golden, provider: QemuProvider, folder: MachineFolder
):
    ref = await running(provider, spec())
    await provider.settle(DESKTOP, ref)
    await provider.settle(DESKTOP, ref)
    assert (await seen(provider, ref)).settled
    disk = folder.disk.stat().st_ino
    await provider.stop(DESKTOP, ref, force=True)
    await provider.start(DESKTOP, ref)
    machine = await seen(provider, ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert folder.disk.stat().st_ino == disk
    await says(provider, DESKTOP, ref, "U")


async def test_an_unsettled_machine_is_born_again(
    golden: Golden, provider: QemuProvider, folder: MachineFolder
):
    ref = await running(provider, spec())
    disk = folder.disk.stat().st_ino
    os.kill(processes.by_uuid()[ref], signal.SIGKILL)
    await asyncio.to_thread(processes.wait_gone, ref, 10)
    await provider.start(DESKTOP, ref)
    assert (await seen(provider, ref)).origin is Origin.GOLDEN
    assert folder.disk.stat().st_ino != disk
    before = (await seen(provider, ref)).boot
    await provider.restart(DESKTOP, ref)
    machine = await seen(provider, ref)
    assert machine.origin is Origin.GOLDEN
    assert machine.boot != before


async def test_a_settled_machine_boots_after_a_reset(golden: Golden, provider: QemuProvider):
    ref = await running(provider, spec())
    await provider.settle(DESKTOP, ref)
    await provider.restart(DESKTOP, ref)
    assert (await seen(provider, ref)).origin is Origin.BOOT
    await says(provider, DESKTOP, ref, "U")


async def test_a_cold_start_begins_as_the_image_does(
    golden: Golden, provider: QemuProvider, folder: MachineFolder
):
    ref = await provider.create(spec())
    assert foundation(folder) != "filling"
    await provider.start(DESKTOP, ref, cold=True)
    machine = await seen(provider, ref)
    assert (machine.origin, machine.settled, machine.note) == (Origin.BOOT, True, "")
    assert foundation(folder) == "filling"
    await says(provider, DESKTOP, ref, "U")


def cut_memory(golden: Path) -> None:
    os.truncate(golden / "memory", 1000)


def cut_devices(golden: Path) -> None:
    memory = golden / "memory"
    os.truncate(memory, memory.stat().st_size - 1000)


def remove_memory(golden: Path) -> None:
    (golden / "memory").unlink()


def scribble(golden: Path) -> None:
    with (golden / "memory").open("r+b") as memory:
        memory.seek(0x7C00)
        memory.write(b"somebody was here")


@pytest.mark.parametrize("harm", [cut_memory, remove_memory, scribble])
async def test_a_damaged_golden_machine_is_not_resumed(
    harm, golden: Golden, provider: QemuProvider, folder: MachineFolder, home: Path
):
    ref = await provider.create(spec())
    harm(home / "goldens" / foundation(folder))
    await provider.start(DESKTOP, ref)
    machine = await seen(provider, ref)
    assert (machine.origin, machine.settled) == (Origin.BOOT, True)
    assert "golden machine could not be resumed" in machine.note
    assert foundation(folder) == "filling"
    assert await provider.golden(spec()) is None
    await says(provider, DESKTOP, ref, "U")


async def test_a_state_that_qemu_refuses_is_told_and_the_desktop_boots(
    golden: Golden, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    monkeypatch.setattr(golden_module.GoldenFolder, "damaged_file", lambda _: None)
    ref = await provider.create(spec())
    cut_devices(Settings(home=folder.path.parents[1]).goldens_dir / foundation(folder))
    await provider.start(DESKTOP, ref)
    machine = await seen(provider, ref)
    assert machine.origin is Origin.BOOT
    assert "golden machine could not be resumed" in machine.note
    assert len([uuid for uuid in processes.by_uuid() if uuid == ref]) == 1


async def test_a_resume_that_takes_too_long_is_given_up(
    golden: Golden, provider: QemuProvider, monkeypatch
):
    async def stuck(*_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hypervisor, "MAP_SECONDS", 0.5)
    monkeypatch.setattr(hypervisor.migration, "load", stuck)
    ref = await running(provider, spec())
    machine = await seen(provider, ref)
    assert machine.origin is Origin.BOOT
    assert "did not answer in 0.5 s" in machine.note


async def test_a_qemu_that_dies_while_it_resumes_is_told_and_the_desktop_boots(
    golden: Golden, provider: QemuProvider, monkeypatch
):
    load = hypervisor.migration.load

    async def dying(monitor, memory) -> None:
        os.kill(processes.by_uuid()[ref], signal.SIGKILL)
        await load(monitor, memory)

    ref = await provider.create(spec())
    monkeypatch.setattr(hypervisor.migration, "load", dying)
    await provider.start(DESKTOP, ref)
    machine = await seen(provider, ref)
    assert (machine.power, machine.origin) == (Power.RUNNING, Origin.BOOT)
    assert machine.note


async def test_a_damaged_golden_machine_is_made_anew(
    golden: Golden, provider: QemuProvider, home: Path
):
    (folder,) = (home / "goldens").iterdir()
    await provider.create(spec("dsk_other"))
    scribble(folder)
    assert await provider.golden(spec()) is None
    assert (folder / "disk.qcow2").exists(), "a machine stands on it"
    again = await kept(provider)
    assert again.key == golden.key
    assert await provider.golden(spec()) == again


async def test_a_golden_machine_of_an_image_that_is_gone_is_swept(
    golden: Golden, provider: QemuProvider, home: Path, folder: MachineFolder
):
    ref = await running(provider, spec())
    name = foundation(folder)
    image, aside = home / "images" / "filling", home / "filling"
    image.rename(aside)
    try:
        await provider.sweep_goldens()
        assert await provider.goldens() == []
        assert [file.name for file in (home / "goldens" / name).iterdir()] == ["disk.qcow2"]
        assert (await seen(provider, ref)).power is Power.RUNNING
        await provider.destroy(DESKTOP, ref)
        await provider.sweep_goldens()
        assert list((home / "goldens").iterdir()) == []
    finally:
        aside.rename(image)


async def test_a_golden_machine_that_can_be_used_is_not_swept(
    golden: Golden, provider: QemuProvider
):
    await provider.sweep_goldens()
    assert await provider.golden(spec()) == golden


async def test_another_qemu_gets_another_golden_machine(
    golden: Golden, provider: QemuProvider, monkeypatch
):
    monkeypatch.setattr(golden_module, "_typical_command", lambda *_: ["other"])
    assert await provider.golden(spec()) is None
    ref = await running(provider, spec())
    assert (await seen(provider, ref)).origin is Origin.BOOT


async def test_files_of_a_golden_machine_are_for_reading(golden: Golden, home: Path):
    (folder,) = (home / "goldens").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("disk.qcow2", "memory"):
        assert (folder / name).stat().st_mode & 0o777 == 0o400


async def test_keeping_again_answers_the_same_golden_machine(
    golden: Golden, provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    monkeypatch.setattr(MachineFolder, "remove", lambda _: 1 / 0)
    maker = await running(provider, spec(MAKER, golden=True))
    with pytest.raises(ZeroDivisionError):
        await provider.keep_golden(MAKER, maker)
    monkeypatch.undo()
    again = await provider.keep_golden(MAKER, maker)
    assert again.key == golden.key
    assert await provider.inspect_all() == []


async def test_an_interrupted_keep_goes_on(
    golden: Golden, provider: QemuProvider, home: Path, monkeypatch
):
    monkeypatch.setattr(golden_module, "_digest", lambda _: 1 / 0)
    maker = await running(provider, spec(MAKER, golden=True))
    with pytest.raises(ZeroDivisionError):
        await provider.keep_golden(MAKER, maker)
    monkeypatch.undo()
    assert list((home / "goldens").glob(".*.new"))
    await provider.close()
    await provider.open()
    assert not list((home / "goldens").glob(".*.new"))
    assert (await provider.keep_golden(MAKER, maker)).key == golden.key


async def test_only_a_machine_made_for_it_becomes_golden(golden: Golden, provider: QemuProvider):
    ref = await running(provider, spec())
    with pytest.raises(ProviderError, match="not made to become"):
        await provider.keep_golden(DESKTOP, ref)
    maker = await provider.create(spec(MAKER, golden=True))
    with pytest.raises(ProviderError, match="does not run"):
        await provider.keep_golden(MAKER, maker)


async def test_a_server_killed_while_it_resumes_leaves_no_paused_machine(
    golden: Golden, provider: QemuProvider, monkeypatch
):
    async def cut_off(*_) -> None:
        raise asyncio.CancelledError

    ref = await provider.create(spec())
    with monkeypatch.context() as patch:
        patch.setattr(hypervisor.migration, "load", cut_off)
        with pytest.raises(asyncio.CancelledError):
            await provider.start(DESKTOP, ref)
    assert processes.is_alive(ref)
    (machine,) = await provider.inspect_all()
    assert (machine.power, machine.reason) == (
        Power.STOPPED,
        "Its start, or its hibernation, was interrupted.",
    )
    assert not processes.is_alive(ref)
    await provider.start(DESKTOP, ref)
    assert (await seen(provider, ref)).origin is Origin.GOLDEN


async def test_a_machine_that_was_halted_goes_on(
    golden: Golden, provider: QemuProvider, folder: MachineFolder
):
    ref = await running(provider, spec())
    await provider.settle(DESKTOP, ref)
    identity = folder.identity()
    async with hypervisor.Hypervisor(folder, identity)._conversation() as monitor:
        await monitor.execute("stop")
    assert (await seen(provider, ref)).power is Power.RUNNING
    async with hypervisor.Hypervisor(folder, identity)._conversation() as monitor:
        assert "'running'" in str(await monitor.execute("query-status"))


async def test_a_machine_whose_memory_waits_is_not_resized(golden: Golden, provider: QemuProvider):
    ref = await provider.create(spec())
    with pytest.raises(ProviderError, match="waits to be resumed"):
        await provider.resize(DESKTOP, ref, vcpus=2, memory=128 * MIB, disk=64 * MIB)
