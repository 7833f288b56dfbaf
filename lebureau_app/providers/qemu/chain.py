"""Which disk stands on which, as the disks themselves say.

The truth is the header of each file (docs/interop/qcow2 in QEMU's source): it holds the size that
the guest sees and the name of the disk below, relative to the file's own folder.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from lebureau_app.errors import ProviderError
from lebureau_app.settings import Settings

_HEADER = struct.Struct(">4sIQIIQ")
"""Magic, version, offset and length of the name of the disk below, cluster bits, size."""

_MAGIC = b"QFI\xfb"


@dataclass(frozen=True, slots=True)
class Header:
    """What a qcow2 file says of itself.

    Attributes:
        size: Bytes that the guest sees.
        below: The disk that it stands on; None for one that stands by itself.
    """

    size: int
    below: Path | None


def read_header(disk: Path) -> Header:
    """Read a disk's header, whoever has the disk open.

    Raises:
        ProviderError: It cannot be read, or is no qcow2 file.
    """
    try:
        with disk.open("rb") as file:
            magic, _, offset, length, _, size = _HEADER.unpack(file.read(_HEADER.size))
            if magic != _MAGIC:
                raise ValueError("it is no qcow2 file")
            file.seek(offset)
            name = file.read(length).decode() if offset else ""
    except (OSError, ValueError, struct.error) as error:
        raise ProviderError(f"The disk {disk} cannot be read: {error}.") from error
    return Header(size, (disk.parent / name).resolve() if name else None)


def layers(disk: Path) -> list[Path]:
    """A disk and all that it stands on, from the top down.

    Raises:
        ProviderError: One of them cannot be read.
    """
    found = [disk]
    while below := read_header(found[-1]).below:
        found.append(below)
    return found


def disks(settings: Settings) -> list[Path]:
    """Every disk of a machine, a snapshot or a golden machine on this host, drafts included."""
    places = (settings.desktops_dir, settings.snapshots_dir, settings.goldens_dir)
    return [disk for place in places for disk in sorted(place.glob("*/*.qcow2"))]


def foundations(settings: Settings) -> set[Path]:
    """Every disk that another disk on this host stands on, resolved.

    Raises:
        ProviderError: A disk cannot be read, so that nobody knows what it stands on.
    """
    below = (read_header(disk).below for disk in disks(settings))
    return {disk for disk in below if disk is not None}
