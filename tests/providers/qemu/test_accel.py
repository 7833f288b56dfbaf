import shutil
import time
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.qemu import accel
from lebureau_app.providers.qemu.accel import Accelerator, detect, probe, qemu_version, run_stub


@pytest.fixture
def qemu(tmp_path: Path):
    """Makes a program that says it is QEMU 10.0 and otherwise does what it is told."""

    def make(does: str, version: str = "10.0.2") -> str:
        program = tmp_path / "qemu"
        program.write_text(
            "#!/bin/sh\n"
            f'echo run >> "{tmp_path}/runs"\n'
            f'[ "$1" = --version ] && echo "QEMU emulator version {version}" && exit 0\n'
            f"{does}\n"
        )
        program.chmod(0o755)
        return str(program)

    return make


@pytest.fixture
def kvm_device(tmp_path: Path, monkeypatch):
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accel, "KVM_DEVICE", device)
    return device


def test_kvm_that_runs_guest_code_is_used(qemu, kvm_device):
    assert probe(qemu("exit 33"), (10, 0)) == Accelerator("kvm", (10, 0))


def test_kvm_that_aborts_is_not_used_and_the_note_says_why(qemu, kvm_device):
    found = probe(qemu("echo 'KVM: entry failed' >&2; kill -ABRT $$"), (10, 0))
    assert found.name == "tcg"
    assert "KVM: entry failed" in found.note


def test_kvm_that_crawls_is_not_used_and_does_not_hold_us_up(qemu, kvm_device):
    begun = time.monotonic()
    found = probe(qemu("exec sleep 60"), (10, 0), timeout=0.2)
    assert found.name == "tcg"
    assert "did not get through" in found.note
    assert time.monotonic() - begun < 10


def test_without_the_device_nothing_is_run(qemu, kvm_device, tmp_path: Path):
    kvm_device.unlink()
    found = probe(qemu("exit 33"), (10, 0))
    assert found.name == "tcg"
    assert "is not there" in found.note
    assert not (tmp_path / "runs").exists()


def test_an_old_qemu_without_kvm_is_called_unreliable(qemu, kvm_device):
    assert "install QEMU 10" in probe(qemu("exit 1"), (7, 2)).note


async def test_the_answer_is_kept_for_this_qemu(qemu, kvm_device, tmp_path: Path):
    cache = tmp_path / "accelerator.json"
    first = await detect(qemu("exit 33"), cache)
    assert await detect(qemu("exit 1"), cache) == first
    assert (await detect(qemu("exit 1", version="10.1.0"), cache)).name == "tcg"


async def test_a_damaged_cache_is_made_anew(qemu, kvm_device, tmp_path: Path):
    cache = tmp_path / "accelerator.json"
    cache.write_text('{"key": 3')
    assert (await detect(qemu("exit 33"), cache)).name == "kvm"


def test_a_missing_qemu_says_what_to_do():
    with pytest.raises(ProviderError) as refused:
        qemu_version("/nowhere/qemu")
    assert "doctor" in refused.value.hint


def test_the_machine_type_is_pinned_to_what_this_qemu_has():
    assert Accelerator("tcg", (10, 2)).machine_type == "pc-q35-10.0"
    assert Accelerator("kvm", (8, 2)).machine_type == "pc-q35-8.2"


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
def test_the_stub_really_runs():
    tcg = Accelerator("tcg", (10, 0)).arguments
    assert run_stub("qemu-system-x86_64", tcg, timeout=60) is None
