"""Reads ahead what the clones of a golden machine need of its memory until they can be used.

The first of them tells what that is. A guest comes upon it page by page, and where the host no
longer has it in its cache, waits for the disk each time: seconds in all.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lebureau_app.providers.qemu.files import read_record, write_record

RECORD = "needed.json"

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRY = 8
_PRESENT = 1 << 63
_NEAR = 16
"""Pages between two that are read as well."""


def learn(memory: Path, pid: int) -> None:
    """Take note of what a clone that can be used has touched; the first one is enough.

    Args:
        memory: The golden machine's memory.
        pid: The clone's process.

    Raises:
        OSError: It has ended, or the host could not write it down.
    """
    record = memory.with_name(RECORD)
    if not record.exists():
        write_record(record, {"ranges": list(_touched(memory, pid))})


def read_ahead(memory: Path) -> None:
    """Have the host read what a clone will need (posix_fadvise(2)).

    It is asked for nothing else: the clone, which is under way, would have to wait for that. Where
    nobody knows what is needed, nothing is read.

    Args:
        memory: The golden machine's memory.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        needed = read_record(memory.with_name(RECORD))["ranges"]
        with memory.open("rb") as file:
            handle = file.fileno()
            for begin, end in needed:
                os.posix_fadvise(handle, begin, end - begin, os.POSIX_FADV_WILLNEED)


def _touched(memory: Path, pid: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that a process has in its memory: begins and ends, in bytes."""
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, _, offset, _, _, *name = line.split(maxsplit=5)
            if name == [str(memory)]:
                first, last = (int(address, 16) // _PAGE for address in addresses.split("-"))
                pagemap.seek(first * _ENTRY)
                entries = memoryview(pagemap.read((last - first) * _ENTRY)).cast("Q")
                for begin, end in _runs(entries):
                    yield int(offset, 16) + begin * _PAGE, int(offset, 16) + end * _PAGE


def _runs(entries: memoryview) -> Iterator[tuple[int, int]]:
    """Where entries of proc_pid_pagemap(5) are present, those near to each other as one."""
    run: tuple[int, int] | None = None
    for number, entry in enumerate(entries):
        if entry & _PRESENT:
            if run and number - run[1] > _NEAR:
                yield run
                run = None
            run = (run[0] if run else number, number + 1)
    if run:
        yield run
