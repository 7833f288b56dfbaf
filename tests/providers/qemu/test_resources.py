"""What a running machine may still come to take, counted by what it has for itself."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lebureau_app.errors import NoCapacity
from lebureau_app.providers.qemu.resources import Resources, measure, require_memory

MIB = 1 << 20
SIZE = 256 * MIB
SLACK = 64 * MIB
"""What this process and the host may take or give back meanwhile."""

HERE = os.getpid()


@pytest.fixture
def golden(tmp_path: Path) -> Iterator[mmap.mmap]:
    """A golden machine's memory, as a clone has it: private, and read from end to end."""
    file = tmp_path / "memory"
    file.write_bytes(os.urandom(MIB) * (SIZE // MIB))
    access = mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), SIZE, *access) as memory:
        assert all(memory[page] is not None for page in range(0, SIZE, mmap.PAGESIZE))
        yield memory


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose memory nobody else takes meanwhile."""
    told = psutil.virtual_memory()._replace(available=64 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: told)


def outstanding(place: Path, most: int) -> int:
    """What is kept free for this process, if it may take so much."""
    return measure(place, {}).memory_free - measure(place, {HERE: most}).memory_free


@pytest.mark.usefixtures("available")
def test_what_a_clone_only_reads_is_still_to_come(golden: mmap.mmap, tmp_path: Path):
    most = 8 << 30
    before = outstanding(tmp_path, most)
    assert before > most - psutil.Process().memory_info().rss + SIZE - SLACK
    golden[:] = os.urandom(MIB) * (SIZE // MIB)
    assert before - outstanding(tmp_path, most) == pytest.approx(SIZE, abs=SLACK)


@pytest.mark.usefixtures("available")
def test_who_has_taken_all_has_nothing_outstanding(tmp_path: Path):
    assert outstanding(tmp_path, 1) == 0


@pytest.mark.usefixtures("available")
def test_a_process_that_has_ended_meanwhile_counts_with_all_it_might_take(tmp_path: Path):
    assert measure(tmp_path, {}).memory_free - measure(tmp_path, {-1: SIZE}).memory_free == SIZE


def test_a_machine_larger_than_what_is_left_is_refused_with_both_sizes():
    left = Resources(memory_total=8 << 30, memory_free=2 << 30, disk_total=1, disk_free=1)
    require_memory(left, 2 << 30)
    with pytest.raises(NoCapacity, match=r"needs 4\.0 GB of memory and this host has 2\.0 GB"):
        require_memory(left, 4 << 30)
