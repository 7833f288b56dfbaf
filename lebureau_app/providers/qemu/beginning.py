"""What a boot of a machine begins from: its kernel, or a memory that was kept."""

from dataclasses import dataclass
from pathlib import Path

from lebureau_app.providers.base import Origin


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """A memory that QEMU can go on with.

    Attributes:
        state: What QEMU loads: the devices, and the memory too where there is no `ram`.
        ram: The file that has the memory; many may read it, and nobody writes to it.
        devices: Bytes of `state` before what QEMU loads.
        pages: Bytes of `ram` before the memory.
    """

    state: Path
    ram: Path | None = None
    devices: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a boot begins from.

    Attributes:
        origin: By what name the machine tells it.
        memory: What is resumed; None for a plain boot.
        note: Why it is the slow road, for a person; empty if it is not.
    """

    origin: Origin = Origin.BOOT
    memory: KeptMemory | None = None
    note: str = ""


class NotResumed(Exception):
    """A memory could not be resumed; the message says why, and the memory is as it was."""
