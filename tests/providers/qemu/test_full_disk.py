"""The host's disk becomes full in the middle of it: a real small disk, real QEMU, tiny guests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lebureau_app.errors import NoCapacity
from lebureau_app.providers.qemu import memory, resources
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from tests.providers.qemu.conftest import DESKTOP
from tests.providers.qemu.dying import SNAPSHOT, born
from tests.support.notebook import Letters, Notebook
from tests.support.tiny_guest import NOTEBOOK, make_image

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

KIB = 1 << 10


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home on a disk of its own."""
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("only root can mount a small disk, and not everywhere")
        make_image(Path(folder) / "images", "filling", NOTEBOOK)
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


@pytest.fixture
async def ref(provider: QemuProvider, guest: Notebook, monkeypatch: pytest.MonkeyPatch) -> str:
    """A running machine on a small disk, for which nobody refuses early."""
    monkeypatch.setattr(resources, "DISK_MINIMUM", 0)
    monkeypatch.setattr(memory, "require_room", lambda *_: None)
    made = await born(provider, DESKTOP)
    await guest.note("m", "d")
    return made


@pytest.fixture
def guest(folder: MachineFolder) -> Notebook:
    return Notebook(folder)


def full(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of a disk."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return filler


@pytest.mark.parametrize("left", [0, 64 * KIB, 512 * KIB])
async def test_a_machine_that_cannot_hibernate_goes_on(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, left: int
):
    filler = full(home, left)
    with pytest.raises(NoCapacity, match="full"):
        await provider.hibernate(DESKTOP, ref)
    filler.unlink()
    assert not list(folder.path.glob("hibernation*"))
    assert await guest.read() == Letters("m", "d")
    await provider.hibernate(DESKTOP, ref)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("left", [0, 64 * KIB, 256 * KIB, 512 * KIB, 768 * KIB])
async def test_a_machine_that_cannot_be_kept_goes_on(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, left: int
):
    filler = full(home, left)
    with pytest.raises(NoCapacity, match="full"):
        await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert await provider.stored_snapshots() == []
    filler.unlink()
    assert list(folder.path.glob("disk.*")) == [folder.disk]
    await guest.note("n", "e")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.stop(DESKTOP, ref, force=True)
    await provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("n", "e")
