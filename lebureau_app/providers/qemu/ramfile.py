"""The file that QEMU writes a memory to, each page in its own place.

(`mapped-ram`, docs/devel/migration/mapped-ram.rst in QEMU's source.) A bitmap says which pages are
there; the others are zero. So the pages can be mapped as they are, once none that was written and
became zero later is left behind.

QEMU has more than the guest's memory: the firmware above all, which a guest needs again when it
restarts. That is small, and comes with the devices.
"""

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lebureau_app.errors import ProviderError
from lebureau_app.providers.qemu.files import extents

RAM = "pc.ram"
"""What QEMU calls the memory, the same for every machine: a kept memory is found by it."""

_BEGINNING = 1 << 20
"""Bytes within which the memory's header comes."""

_HEADER = struct.Struct(">QIQQQ")
"""Length, version, size of a page, places of the bitmap and of the pages."""

_LONGEST_HEADER = 256 + _HEADER.size
"""With the name of the memory before it; the next one comes behind the pages."""

_VERSION = 1

_MAGIC = struct.Struct(">II")
"""`QEVM` and the version of the format."""

_CONFIGURATION = struct.Struct(">BI")
"""Kind of a section, length of the machine type that follows."""

_IS_CONFIGURATION = 7

_SECTION = struct.Struct(">BIB3sII")
"""Kind, number, length of the name and name, instance and version of the section of memories."""

_MEMORIES = _SECTION.pack(4, 0, 3, b"ram", 0, 4)
_END_OF_MEMORIES = struct.pack(">QBI", 0x10, 0x7E, 0)
_SIZES, _PAGE = 0x04, 0x08
"""What a word of that section announces, in the low bits that no place and no size has."""

_LOW_BITS = 0xFFF


class Unreadable(ProviderError):
    """It is no such file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one memory is in such a file. All in bytes.

    Attributes:
        name: What QEMU calls it, with its length before it.
        length: How much memory there is.
        page: Size of a page.
        bitmap: Where the bitmap begins, one bit a page, lowest first.
        pages: Where the pages begin.
    """

    name: bytes
    length: int
    page: int
    bitmap: int
    pages: int


def layout(file: Path) -> Layout:
    """Where the guest's memory is in a file.

    Raises:
        Unreadable: It is no file of that kind.
        OSError: It cannot be read.
    """
    return next(_layouts(file))


def add_devices(file: Path, state: Path, machine_type: str) -> int:
    """Add the state of a machine's devices, so that QEMU loads it from there by itself.

    QEMU writes that state without the section that names the machine, and loads none without it
    (docs/devel/migration/main.rst, `vmstate_configuration` in migration/savevm.c), and without the
    memories, of which the small ones are added.

    Args:
        file: The memory.
        state: What QEMU wrote of the devices.
        machine_type: The machine's.

    Returns:
        Where in the file it begins.
    """
    name = machine_type.encode()
    with state.open("rb") as source, file.open("ab") as target:
        place = target.tell()
        magic = source.read(_MAGIC.size)
        target.write(magic + _CONFIGURATION.pack(_IS_CONFIGURATION, len(name)) + name)
        target.write(_small_memories(file))
        shutil.copyfileobj(source, target)
    return place


def blank_stale_pages(file: Path) -> int:
    """Write zeros over every page that is not in the bitmap: its guest made it zero after it was
    written, and QEMU leaves it in the file then.

    Args:
        file: What was written while the guest ran on. What was blanked before is no trouble.

    Returns:
        How many pages that were.

    Raises:
        Unreadable: It is no file of that kind.
        OSError: It cannot be read or written.
    """
    where = layout(file)
    with file.open("rb") as handle:
        bitmap = os.pread(handle.fileno(), where.length // where.page // 8, where.bitmap)
        stale = [
            page
            for page in _pages_with_data(handle, where)
            if not bitmap[page >> 3] >> (page & 7) & 1
        ]
        zeros = bytes(where.page)
        stale = [
            page
            for page in stale
            if os.pread(handle.fileno(), where.page, where.pages + page * where.page) != zeros
        ]
    if stale:
        with file.open("r+b") as handle:
            for page in stale:
                os.pwrite(handle.fileno(), zeros, where.pages + page * where.page)
    return len(stale)


def _small_memories(file: Path) -> bytes:
    """All that QEMU has but the guest's memory, as it loads it (`parse_ramblocks` and
    `ram_load_precopy` in migration/ram.c)."""
    _, *small = _layouts(file)
    size = sum(each.length for each in small)
    sizes = b"".join(each.name + struct.pack(">Q", each.length) for each in small)
    pages = b"".join(
        struct.pack(">Q", place | _PAGE) + each.name + page
        for each in small
        for place, page in _written(file, each)
    )
    return _MEMORIES + struct.pack(">Q", size | _SIZES) + sizes + pages + _END_OF_MEMORIES


def _written(file: Path, where: Layout) -> Iterator[tuple[int, bytes]]:
    """The pages of a small memory that are not zero, each with its place in that memory."""
    with file.open("rb") as handle:
        content = os.pread(handle.fileno(), where.length, where.pages)
    for place in range(0, len(content), where.page):
        page = content[place : place + where.page]
        if any(page):
            yield place, page


def _layouts(file: Path) -> Iterator[Layout]:
    """Every memory of a file in its order: the guest's, which is the largest, comes first.

    Raises:
        Unreadable: It is no file of that kind.
    """
    with file.open("rb") as handle:
        beginning = handle.read(_BEGINNING)
        place = beginning.find(bytes([len(RAM)]) + RAM.encode())
        left = int.from_bytes(beginning[max(0, place - 8) : max(0, place)]) & ~_LOW_BITS
        while place >= 0:
            found = os.pread(handle.fileno(), _LONGEST_HEADER, place)
            name, header = found[: 1 + found[0]], found[1 + found[0] :]
            if len(header) < _HEADER.size:
                break
            length, version, page, bitmap, pages = _HEADER.unpack_from(header)
            if version != _VERSION:
                raise Unreadable(f"{file} is of the unknown version {version}.")
            yield Layout(name, length, page, bitmap, pages)
            place, left = pages + length, left - length
            if left <= 0:
                return
    raise Unreadable(f"{file} does not say where the memory is.")


def _pages_with_data(handle: BinaryIO, where: Layout) -> Iterator[int]:
    """Numbers of the pages that are no holes."""
    for begin, end in extents(handle.fileno(), where.pages, where.pages + where.length):
        yield from range((begin - where.pages) // where.page, -(-(end - where.pages) // where.page))
