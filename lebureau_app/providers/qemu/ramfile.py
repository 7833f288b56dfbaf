"""The file that QEMU writes a memory to, each page in its own place.

(`mapped-ram`, docs/devel/migration/mapped-ram.rst in QEMU's source.) A bitmap says which pages are
there; the others are zero. So the pages can be mapped as they are, once none that was written and
became zero later is left behind.
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

_VERSION = 1

_MAGIC = struct.Struct(">II")
"""`QEVM` and the version of the format."""

_CONFIGURATION = struct.Struct(">BI")
"""Kind of a section, length of the machine type that follows."""

_IS_CONFIGURATION = 7


class Unreadable(ProviderError):
    """It is no such file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where what is in such a file. All in bytes.

    Attributes:
        length: How much memory there is.
        page: Size of a page.
        bitmap: Where the bitmap begins, one bit a page, lowest first.
        pages: Where the pages begin.
    """

    length: int
    page: int
    bitmap: int
    pages: int


def layout(file: Path) -> Layout:
    """Where what is in a file.

    Raises:
        Unreadable: It is no file of that kind.
        OSError: It cannot be read.
    """
    name = bytes([len(RAM)]) + RAM.encode()
    with file.open("rb") as handle:
        _, found, rest = handle.read(_BEGINNING).partition(name)
    if not found or len(rest) < _HEADER.size:
        raise Unreadable(f"{file} does not say where the memory is.")
    length, version, page, bitmap, pages = _HEADER.unpack_from(rest)
    if version != _VERSION:
        raise Unreadable(f"{file} is of the unknown version {version}.")
    return Layout(length, page, bitmap, pages)


def add_devices(file: Path, state: Path, machine_type: str) -> int:
    """Add the state of a machine's devices, so that QEMU loads it from there by itself.

    QEMU writes that state without the section that names the machine, and loads none without it
    (docs/devel/migration/main.rst, `vmstate_configuration` in migration/savevm.c).

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


def _pages_with_data(handle: BinaryIO, where: Layout) -> Iterator[int]:
    """Numbers of the pages that are no holes."""
    for begin, end in extents(handle.fileno(), where.pages, where.pages + where.length):
        yield from range((begin - where.pages) // where.page, -(-(end - where.pages) // where.page))
