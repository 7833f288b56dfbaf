"""The qemu provider among faults: real QEMU processes, tiny guests."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from lebureau_app.errors import NotYet, ProviderError, UnknownMachine
from lebureau_app.providers.base import Machine, MachineSpec, Power
from lebureau_app.providers.qemu import hypervisor, machine, processes
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP
from tests.support.eventually import eventually
from tests.support.tiny_guest import PANICKING, SHUTTING_DOWN, make_image

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)


@pytest.fixture(scope="module")
def home():
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        images = Path(folder) / "images"
        make_image(images)
        make_image(images, "panicking", PANICKING)
        make_image(images, "shutting-down", SHUTTING_DOWN)
        yield Path(folder)


def is_child(pid: int) -> bool:
    """Whether a process is ours and nobody has taken note of its end."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


async def created(provider: QemuProvider, image: str = "tiny") -> str:
    key = "ssh-ed25519 AAAAC3Nza test"
    return await provider.create(MachineSpec(DESKTOP, "atlas", image, 1, 64 << 20, 64 << 20, key))


async def started(provider: QemuProvider, image: str = "tiny") -> str:
    ref = await created(provider, image)
    await provider.start(DESKTOP, ref)
    return ref


async def settled(provider: QemuProvider, ref: str) -> Machine:
    """The machine as soon as it no longer runs."""

    async def look() -> Machine | None:
        seen = await provider.inspect(DESKTOP, ref)
        assert seen is not None
        return None if seen.power is Power.RUNNING else seen

    return await eventually(look)


async def test_a_panic_is_a_failure_with_its_reason(provider: QemuProvider):
    ref = await started(provider, "panicking")
    seen = await settled(provider, ref)
    assert (seen.power, seen.reason) == (Power.FAILED, "The guest's kernel panicked.")
    await provider.start(DESKTOP, ref)
    assert len([uuid for uuid in processes.by_uuid() if uuid == ref]) == 1


async def test_a_guest_that_shuts_itself_down_is_put_away(provider: QemuProvider):
    ref = await started(provider, "shutting-down")
    seen = await settled(provider, ref)
    assert (seen.power, seen.reason) == (Power.STOPPED, "The guest shut down.")
    assert not processes.is_alive(ref)


async def test_a_frozen_qemu_is_unknown_and_a_forced_stop_ends_it(
    provider: QemuProvider, monkeypatch
):
    monkeypatch.setattr(hypervisor, "MONITOR_SECONDS", 0.3)
    ref = await started(provider)
    os.kill(processes.by_uuid()[ref], signal.SIGSTOP)
    seen = await provider.inspect(DESKTOP, ref)
    assert seen is not None
    assert seen.power is Power.UNKNOWN
    with pytest.raises(NotYet):
        await provider.start(DESKTOP, ref)
    await provider.stop(DESKTOP, ref, force=True)
    assert not processes.is_alive(ref)


async def test_a_port_that_was_taken_meanwhile_is_chosen_again(provider: QemuProvider, monkeypatch):
    free = hypervisor._free_ports
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        choices = iter([{**free(), 6080: port}])
        monkeypatch.setattr(hypervisor, "_free_ports", lambda: next(choices, None) or free())
        ref = await started(provider)
    endpoint = await provider.endpoint(DESKTOP, ref, 6080)
    assert endpoint.port != port


async def test_the_disk_of_a_qemu_that_is_just_ending_is_waited_for(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await created(provider)
    holds = ("qemu-io", "-f", "qcow2", "-c", "read 0 512", "-c", "sleep 700", str(folder.disk))
    ending = await asyncio.create_subprocess_exec(*holds, stdout=asyncio.subprocess.PIPE)
    assert ending.stdout
    assert b"read 512/512" in await ending.stdout.readline()
    await provider.start(DESKTOP, ref)
    assert await asyncio.wait_for(ending.wait(), 10) == 0
    seen = await provider.inspect(DESKTOP, ref)
    assert seen is not None
    assert seen.power is Power.RUNNING


async def test_a_qemu_that_does_not_start_says_why(provider: QemuProvider, folder: MachineFolder):
    ref = await created(provider)
    folder.disk.write_bytes(b"not a disk")
    with pytest.raises(ProviderError, match="QEMU did not start"):
        await provider.start(DESKTOP, ref)
    seen = await provider.inspect(DESKTOP, ref)
    assert seen is not None
    assert seen.power is Power.FAILED
    assert "qcow2" in seen.reason
    assert not processes.is_alive(ref)


async def test_another_machine_on_the_socket_is_left_alone(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await started(provider)
    identity = folder.identity()
    forged = replace(identity, uuid="11111111-2222-3333-4444-555555555555")
    folder.write_identity(forged)
    seen = await provider.inspect(DESKTOP, forged.uuid)
    assert seen is not None
    assert seen.power is Power.UNKNOWN
    with pytest.raises(UnknownMachine):
        await provider.destroy(DESKTOP, forged.uuid)
    assert processes.is_alive(ref)
    assert folder.disk.exists()
    folder.write_identity(identity)


async def test_a_process_whose_folder_is_gone_is_ended_by_destroy(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await started(provider)
    shutil.rmtree(folder.path)
    await provider.destroy(DESKTOP, ref)
    assert not processes.is_alive(ref)
    assert not folder.run.exists()


async def test_the_process_is_in_a_session_of_its_own(provider: QemuProvider):
    ref = await started(provider)
    pid = processes.by_uuid()[ref]
    assert os.getsid(pid) == pid


async def test_no_zombie_stays(provider: QemuProvider):
    ref = await started(provider)
    pid = processes.by_uuid()[ref]
    os.kill(pid, signal.SIGKILL)

    async def gone() -> bool:
        await provider.inspect_all()
        return not is_child(pid)

    await eventually(gone)


async def test_a_guest_cannot_fill_the_disk_with_its_console(
    provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    await created(provider)
    monkeypatch.setattr(machine, "LOG_LIMIT", 1000)
    folder.serial_log.write_bytes(bytes(2000))
    await provider.inspect_all()
    assert folder.serial_log.stat().st_size == 0


async def test_what_an_interrupted_create_left_is_removed(
    provider: QemuProvider, folder: MachineFolder
):
    for left in (folder.draft, folder.remains):
        left.mkdir()
    await provider.open()
    assert not folder.draft.exists()
    assert not folder.remains.exists()


async def test_a_boot_of_before_the_hosts_restart_was_ended_by_it(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await started(provider)
    os.kill(processes.by_uuid()[ref], signal.SIGKILL)
    await asyncio.to_thread(processes.wait_gone, ref, 10)
    boot = folder.boot()
    assert boot is not None
    folder.write_boot(replace(boot, host_boot="an earlier one"))
    seen = await provider.inspect(DESKTOP, ref)
    assert seen is not None
    assert (seen.power, seen.reason) == (Power.STOPPED, "The host was restarted.")


async def test_files_and_sockets_are_closed_to_others(
    provider: QemuProvider, folder: MachineFolder
):
    await started(provider)
    for path in (folder.path, folder.run):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "spec.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("desktop_id", ["../../etc", "", ".hidden", "a/b", "x" * 65])
async def test_an_id_never_becomes_another_path(provider: QemuProvider, desktop_id: str):
    assert await provider.inspect(desktop_id, "ref") is None
    with pytest.raises(UnknownMachine):
        await provider.destroy(desktop_id, "ref")


async def test_a_missing_image_says_what_to_do(provider: QemuProvider):
    with pytest.raises(ProviderError) as refused:
        await created(provider, "missing")
    assert "image build" in refused.value.hint


async def test_a_path_too_long_for_sockets_says_what_to_do(home: Path):
    with tempfile.TemporaryDirectory(prefix="l" * 90) as deep:
        provider = QemuProvider(Settings(home=Path(deep)))
        await provider.open()
        (Path(deep) / "images").rmdir()
        (Path(deep) / "images").symlink_to(home / "images")
        shutil.copy(home / "accelerator.json", deep)
        with pytest.raises(ProviderError) as refused:
            await created(provider)
    assert "LEBUREAU_HOME" in refused.value.hint


async def test_the_egress_socket_has_its_place(provider: QemuProvider, folder: MachineFolder):
    await created(provider)
    path = provider.egress_socket(DESKTOP)
    assert path == folder.egress
    assert path.parent.is_dir()


async def test_a_create_that_fails_leaves_nothing(
    provider: QemuProvider, folder: MachineFolder, monkeypatch
):
    await provider.accelerator()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ProviderError, match="qemu-img"):
        await created(provider)
    assert not folder.draft.exists()
    assert not folder.run.exists()
    assert await provider.inspect_all() == []


async def test_a_disk_smaller_than_the_image_is_refused(provider: QemuProvider):
    spec = MachineSpec(DESKTOP, "atlas", "tiny", 1, 64 << 20, 1 << 20, "ssh-ed25519 AAAA")
    with pytest.raises(ProviderError, match="needs a disk"):
        await provider.create(spec)


async def test_one_broken_machine_does_not_hide_the_others(
    provider: QemuProvider, folder: MachineFolder
):
    await created(provider)
    (folder.path / "boot.json").mkdir()
    other = MachineSpec("dsk_other", "b", "tiny", 1, 64 << 20, 64 << 20, "ssh-ed25519 AAAA")
    await provider.create(other)
    seen = {machine.desktop_id: machine.power for machine in await provider.inspect_all()}
    assert seen == {DESKTOP: Power.UNKNOWN, "dsk_other": Power.STOPPED}


async def test_a_running_machine_whose_boot_record_is_damaged_still_runs(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await started(provider)
    (folder.path / "boot.json").write_text("{")
    seen = await provider.inspect(DESKTOP, ref)
    assert seen is not None
    assert seen.power is Power.RUNNING
    await provider.stop(DESKTOP, ref, force=True)
    await provider.start(DESKTOP, ref)
    assert (await provider.endpoint(DESKTOP, ref, 22)).port


async def test_a_read_only_folder_is_an_error_for_people(
    provider: QemuProvider, folder: MachineFolder
):
    ref = await created(provider)
    (folder.path / "boot.new").mkdir()
    with pytest.raises(ProviderError, match="could not read or write"):
        await provider.start(DESKTOP, ref)
