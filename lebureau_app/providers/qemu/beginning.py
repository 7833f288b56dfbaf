"""What a boot of a machine begins from: its kernel, or a memory that was kept."""

from dataclasses import dataclass
from pathlib import Path

from lebureau_app.providers.base import Origin


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """A memory that QEMU can go on with; many may read its file, and nobody writes to it.

    Attributes:
        file: The memory and the state of the devices.
        pages: Bytes of it before the memory, which is mapped; 0 if QEMU has to load that.
        devices: Bytes of it before what QEMU loads.
    """

    file: Path
    pages: int = 0
    devices: int = 0


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
