"""The file of a memory: where its pages are, and that none is left that its guest made zero."""

import os
import shutil
import struct
from pathlib import Path

import pytest

from lebureau_app.providers.qemu import ramfile
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP
from tests.providers.qemu.dying import SNAPSHOT, born
from tests.support.notebook import LETTER, Notebook
from tests.support.tiny_guest import NOTEBOOK

GUEST = NOTEBOOK

PAGE, PAGES = 4096, 64
BITMAP, MEMORY = 4096, 1 << 20


def written(
    file: Path, present: set[int], data: set[int], *, version: int = 1, more: int = 0
) -> Path:
    """A file as QEMU writes it: pages with data, and a bitmap that says which of them count.

    It announces `more` bytes of other memories behind.
    """
    header = struct.pack(">QIQQQ", PAGE * PAGES, version, PAGE, BITMAP, MEMORY)
    announced = struct.pack(">Q", PAGE * PAGES + more | 4)
    file.write_bytes(b"QEVM" + bytes(12) + announced + b"\x06pc.ram" + header)
    os.truncate(file, MEMORY + PAGE * PAGES)
    bits = sum(1 << page for page in present)
    with file.open("r+b") as handle:
        os.pwrite(handle.fileno(), bits.to_bytes(PAGES // 8, "little"), BITMAP)
        for page in data:
            os.pwrite(handle.fileno(), bytes([page + 1]) * PAGE, MEMORY + page * PAGE)
    return file


def kept(file: Path) -> set[int]:
    """Numbers of the pages that hold what was written to them."""
    memory = file.read_bytes()[MEMORY:]
    return {
        page
        for page in range(PAGES)
        if memory[page * PAGE : (page + 1) * PAGE] == bytes([page + 1]) * PAGE
    }


def test_a_page_that_became_zero_is_blanked_and_no_other(tmp_path: Path):
    file = written(tmp_path / "memory", {0, 1, 9, 63}, {0, 1, 2, 9, 10, 11, 62, 63})
    assert ramfile.blank_stale_pages(file) == 4
    assert kept(file) == {0, 1, 9, 63}
    blank = file.read_bytes()[MEMORY + 10 * PAGE : MEMORY + 12 * PAGE]
    assert not any(blank)


def test_what_was_blanked_is_left_alone_even_where_nobody_may_write(tmp_path: Path):
    file = written(tmp_path / "memory", {3}, {3, 4})
    assert ramfile.blank_stale_pages(file) == 1
    file.chmod(0o400)
    before = file.stat().st_mtime_ns
    assert ramfile.blank_stale_pages(file) == 0
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("said", [b"", b"QEVM and nothing else", b"QEVM\x06pc.ram\x00"])
def test_a_file_that_says_nothing_of_a_memory_is_refused(tmp_path: Path, said: bytes):
    (tmp_path / "memory").write_bytes(said)
    with pytest.raises(ramfile.Unreadable, match="does not say"):
        ramfile.layout(tmp_path / "memory")


def test_a_file_of_another_version_is_refused(tmp_path: Path):
    file = written(tmp_path / "memory", set(), set(), version=2)
    with pytest.raises(ramfile.Unreadable, match="unknown version 2"):
        ramfile.layout(file)


def test_the_firmware_comes_with_the_devices(tmp_path: Path):
    file = written(tmp_path / "memory", set(), set(), more=PAGE * 2)
    place = MEMORY + PAGE * PAGES
    header = struct.pack(">QIQQQ", PAGE * 2, 1, PAGE, BITMAP, place + PAGE)
    with file.open("r+b") as handle:
        os.pwrite(handle.fileno(), b"\x07pc.bios" + header, place)
        os.pwrite(handle.fileno(), b"B" * PAGE, place + PAGE * 2)
        os.truncate(handle.fileno(), place + PAGE * 3)
    (tmp_path / "state").write_bytes(b"QEVM\0\0\0\3devices")
    begin = ramfile.add_devices(file, tmp_path / "state", "pc-q35")
    assert begin == place + PAGE * 3
    magic, machine = b"QEVM\0\0\0\3", b"\7\0\0\0\6pc-q35"
    section = b"\4\0\0\0\0\3ram\0\0\0\0\0\0\0\4"
    sizes = struct.pack(">Q", PAGE * 2 | 4) + b"\7pc.bios" + struct.pack(">Q", PAGE * 2)
    pages = struct.pack(">Q", PAGE | 8) + b"\7pc.bios" + b"B" * PAGE
    end = struct.pack(">Q", 16) + b"\x7e\0\0\0\0"
    assert file.read_bytes()[begin:] == magic + machine + section + sizes + pages + end + b"devices"


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
async def test_qemu_puts_each_page_where_the_file_says(provider: QemuProvider, home: Path):
    folder = MachineFolder(Settings(home=home), DESKTOP)
    ref = await born(provider, DESKTOP)
    await Notebook(folder).note("m")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    file = home / "snapshots" / SNAPSHOT / "memory"
    where = ramfile.layout(file)
    assert where.length == folder.identity().memory
    assert where.pages % PAGE == 0
    with file.open("rb") as handle:
        assert os.pread(handle.fileno(), 1, where.pages + LETTER) == b"m"
