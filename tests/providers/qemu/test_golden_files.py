"""What stands below all clones of a golden machine: never written to, and known by its content."""

import asyncio
import hashlib
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lebureau_app.providers.base import MachineSpec, Origin
from lebureau_app.providers.qemu import golden, processes
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.files import read_record, write_record
from lebureau_app.providers.qemu.golden import fingerprint
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.provider import QemuProvider
from tests.providers.qemu.conftest import says
from tests.support.tiny_guest import FILLING

GUEST = FILLING

MIB = 1 << 20
CLONES, AT_ONCE = 50, 5
SPEC = MachineSpec("dsk_1", "atlas", "filling", 1, 64 * MIB, 64 * MIB, "ssh-ed25519 AAAA")
IMAGE = Image("std", Path("/i/disk"), Path("/i/kernel"), Path("/i/initrd"), "root=/dev/vda3")
TCG = Accelerator("tcg", (10, 0), release="10.0.2")


def checksums(home: Path) -> dict[str, str]:
    """Every file of every golden machine, read plainly."""
    files = (file for file in (home / "goldens").rglob("*") if file.is_file())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


async def filled(provider: QemuProvider, desktop_id: str, end: signal.Signals) -> None:
    """A clone that writes to all its memory and comes to a bad end."""
    ref = await provider.create(replace(SPEC, desktop_id=desktop_id))
    await provider.start(desktop_id, ref)
    machine = await provider.inspect(desktop_id, ref)
    assert machine is not None
    assert machine.origin is Origin.GOLDEN
    await provider.stop(desktop_id, ref)
    await says(provider, desktop_id, ref, "F")
    os.kill(processes.by_uuid()[ref], end)
    assert await asyncio.to_thread(processes.wait_gone, ref, 10)
    await provider.destroy(desktop_id, ref)


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
async def test_clones_that_fill_their_memory_and_die_leave_it_as_it_was(
    provider: QemuProvider, home: Path
):
    maker = await provider.create(replace(SPEC, desktop_id="dsk_golden", golden=True))
    await provider.start("dsk_golden", maker)
    await says(provider, "dsk_golden", maker, "U")
    await provider.keep_golden("dsk_golden", maker)
    before = checksums(home)
    assert {"disk.qcow2", "memory"} < before.keys()
    ends = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
    for first in range(0, CLONES, AT_ONCE):
        clones = range(first, first + AT_ONCE)
        deaths = (filled(provider, f"dsk_{clone}", ends[clone % len(ends)]) for clone in clones)
        await asyncio.gather(*deaths)
    assert checksums(home) == before
    (folder,) = (home / "goldens").iterdir()
    assert golden.GoldenFolder(folder).damaged_file() is None


def test_the_fingerprint_is_the_same_for_the_same(monkeypatch, tmp_path: Path):
    moved = replace(IMAGE, disk=tmp_path / "d", kernel=tmp_path / "k", initrd=tmp_path / "i")
    named = replace(SPEC, desktop_id="dsk_2", name="other", authorized_key="ssh-ed25519 BBBB")
    monkeypatch.setenv("LEBUREAU_HOME", str(tmp_path))
    assert fingerprint(named, moved, TCG) == fingerprint(SPEC, IMAGE, TCG)


@pytest.mark.parametrize(
    ("caps", "image", "accelerator"),
    [
        (replace(SPEC, vcpus=2), IMAGE, TCG),
        (replace(SPEC, memory=128 * MIB), IMAGE, TCG),
        (replace(SPEC, disk=128 * MIB), IMAGE, TCG),
        (SPEC, replace(IMAGE, id="other"), TCG),
        (SPEC, replace(IMAGE, cmdline="root=/dev/vda3 quiet"), TCG),
        (SPEC, IMAGE, replace(TCG, release="10.0.3")),
        (SPEC, IMAGE, replace(TCG, version=(9, 2))),
        (SPEC, IMAGE, replace(TCG, name="kvm")),
    ],
)
def test_the_fingerprint_is_another_for_anything_else(caps, image, accelerator):
    assert fingerprint(caps, image, accelerator) != fingerprint(SPEC, IMAGE, TCG)


def test_another_processor_is_another_fingerprint_only_with_kvm(monkeypatch):
    kvm = replace(TCG, name="kvm")
    before = [fingerprint(SPEC, IMAGE, accelerator) for accelerator in (TCG, kvm)]
    monkeypatch.setattr(golden, "_processor", lambda: ("another",))
    after = [fingerprint(SPEC, IMAGE, accelerator) for accelerator in (TCG, kvm)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


@pytest.fixture
def kept(tmp_path: Path) -> golden.GoldenFolder:
    """A golden machine as it was kept before there were pictures."""
    draft = tmp_path / ".new"
    draft.mkdir()
    for name in golden._FILES:
        (draft / name).write_text(name)
    checksums = {name: golden._digest(draft / name) for name in golden._FILES}
    record = golden._Record("key", "std", 1, 64 * MIB, 64 * MIB, "uuid", "10.0.2", 1, 2, checksums)
    folder = golden.GoldenFolder(tmp_path / "key-uuid")
    folder.appear(draft, record)
    return folder


def test_one_that_was_kept_without_a_picture_is_as_good(kept: golden.GoldenFolder):
    assert kept.picture() == b""
    assert kept.described()
    assert kept.damaged_file() is None


def test_one_of_a_release_that_kept_its_devices_elsewhere_is_out_of_use(kept: golden.GoldenFolder):
    record = read_record(kept.path / "golden.json")
    del record["pages"], record["devices"]
    write_record(kept.path / "golden.json", record)
    assert kept.described() is None


def test_what_becomes_of_a_picture_harms_nothing(kept: golden.GoldenFolder):
    before = kept.stamp()
    (kept.path / "picture.png").mkdir()
    assert kept.picture() == b""
    assert (kept.stamp(), kept.damaged_file()) == (before, None)


def test_the_picture_goes_with_the_rest(kept: golden.GoldenFolder):
    (kept.path / "picture.png").write_bytes(b"PNG")
    assert kept.picture() == b"PNG"
    kept.retire()
    assert [file.name for file in kept.path.iterdir()] == ["disk.qcow2"]


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file with a hole, data, a block of zeros, a hole and a tail."""
    file = tmp_path / "memory"
    with file.open("wb") as memory:
        memory.seek(3 * MIB)
        memory.write(os.urandom(MIB) + bytes(MIB))
        memory.seek(8 * MIB)
        memory.write(b"tail")
    return file


def test_a_hole_counts_as_the_zeros_that_it_is(sparse: Path, tmp_path: Path):
    full = tmp_path / "full"
    full.write_bytes(sparse.read_bytes())
    assert full.stat().st_blocks > sparse.stat().st_blocks
    assert golden._digest(full) == golden._digest(sparse)


def test_a_block_with_holes_in_it_counts_once(tmp_path: Path):
    file, full = tmp_path / "memory", tmp_path / "full"
    with file.open("wb") as memory:
        for place in (0, 3, 40, 70):
            memory.seek(place * 4096)
            memory.write(b"data" * 1024)
    full.write_bytes(file.read_bytes())
    assert full.stat().st_blocks > file.stat().st_blocks
    assert golden._digest(full) == golden._digest(file)


@pytest.mark.parametrize("place", [0, 3 * MIB + 5, 4 * MIB, 7 * MIB, 8 * MIB + 3])
def test_a_byte_anywhere_makes_another_digest(sparse: Path, place: int):
    before = golden._digest(sparse)
    with sparse.open("r+b") as memory:
        memory.seek(place)
        (byte,) = memory.read(1)
        memory.seek(place)
        memory.write(bytes([byte ^ 1]))
    assert golden._digest(sparse) != before


def test_another_length_makes_another_digest(sparse: Path):
    before = golden._digest(sparse)
    os.truncate(sparse, 9 * MIB)
    assert golden._digest(sparse) != before
