"""What clones of a golden machine need of its memory is learned from the first, and read ahead."""

import errno
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from lebureau_app.providers.qemu import readahead
from lebureau_app.providers.qemu.files import read_record, write_record
from lebureau_app.providers.qemu.golden import GoldenShelf
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP
from tests.providers.qemu.dying import booted, born, kept, there
from tests.support.eventually import eventually
from tests.support.tiny_guest import FILLING

GUEST = FILLING

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

MIB = 1 << 20


async def test_what_the_first_clone_needed_is_read_for_the_next_one(
    provider: QemuProvider, home: Path, monkeypatch: pytest.MonkeyPatch
):
    record = await golden_record(provider, home)
    memory = record.with_name("memory")
    ref = await born(provider, DESKTOP)
    assert not record.exists()
    await provider.make_way(DESKTOP, ref)
    needed = read_record(record)["ranges"]
    assert needed
    assert all(0 <= begin < end <= memory.stat().st_size for begin, end in needed)
    assert all(left[1] < right[0] for left, right in pairwise(needed))
    await provider.destroy(DESKTOP, ref)

    forget(memory)
    readahead.read_ahead(memory)

    async def all_is_there() -> bool:
        return all(is_cached(memory, begin) for begin, _ in needed)

    await eventually(all_is_there, seconds=30)

    asked: list[Path] = []
    monkeypatch.setattr(readahead, "read_ahead", asked.append)
    ref = await born(provider, DESKTOP)
    assert asked == [memory]
    before = record.stat()
    await provider.make_way(DESKTOP, ref)
    assert record.stat() == before, "the first one is enough"


async def test_a_machine_that_was_booted_teaches_nothing(provider: QemuProvider, home: Path):
    record = await golden_record(provider, home)
    await booted(provider, DESKTOP)
    await provider.make_way(DESKTOP, await there(provider, DESKTOP))
    assert not record.exists()


def test_a_machine_that_has_ended_teaches_nothing(tmp_path: Path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    GoldenShelf(Settings(home=tmp_path)).learn(ended.pid)


@pytest.mark.parametrize(
    "record",
    [{}, {"ranges": 1}, {"ranges": [[1]]}, {"ranges": [[0, "far"]]}, {"ranges": [[-9, 1]]}],
)
def test_a_record_that_makes_no_sense_is_harmless(tmp_path: Path, record: dict[str, object]):
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(MIB))
    write_record(tmp_path / readahead.RECORD, record)
    readahead.read_ahead(memory)


def test_without_a_record_nothing_is_read(tmp_path: Path):
    readahead.read_ahead(tmp_path / "memory")


async def golden_record(provider: QemuProvider, home: Path) -> Path:
    """Where it is noted what a new golden machine's clones need."""
    shutil.rmtree(home / "goldens")
    (home / "goldens").mkdir()
    await kept(provider, "dsk_maker")
    (folder,) = (home / "goldens").iterdir()
    return folder / readahead.RECORD


def forget(file: Path) -> None:
    """Have the host drop what it has of a file (posix_fadvise(2)); some file systems cannot."""
    handle = os.open(file, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def is_cached(file: Path, place: int) -> bool:
    """Whether reading there would not wait (preadv2(2), RWF_NOWAIT)."""
    handle = os.open(file, os.O_RDONLY)
    try:
        return bool(os.preadv(handle, [bytearray(1)], place, os.RWF_NOWAIT))
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP
    finally:
        os.close(handle)
