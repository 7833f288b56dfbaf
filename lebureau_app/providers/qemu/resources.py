"""What this host has left for desktops. Memory and disk in bytes."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from lebureau_app.errors import NoCapacity

MEMORY_RESERVE = 1 << 30
"""What the host keeps for itself and Le Bureau."""

MEMORY_OVERHEAD = 256 << 20
"""What QEMU itself may use beyond the guest's memory."""

DISK_MINIMUM = 2 << 30
"""What must be free for one more overlay, which starts small and grows."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Memory and disk of the host; `memory_free` is what new machines may count on."""

    memory_total: int
    memory_free: int
    disk_total: int
    disk_free: int


def measure(place: Path, promised: dict[int, int]) -> Resources:
    """Measure the host.

    Args:
        place: A folder on the file system of the machines.
        promised: PID of each running machine to the bytes of memory it may come to use.
    """
    memory = psutil.virtual_memory()
    outstanding = sum(max(0, most - _resident(pid)) for pid, most in promised.items())
    disk = shutil.disk_usage(place)
    free = max(0, memory.available - MEMORY_RESERVE - outstanding)
    return Resources(memory.total, free, disk.total, disk.free)


def require_memory(resources: Resources, memory: int) -> None:
    """Refuse a machine whose memory the host may not be able to give.

    Raises:
        NoCapacity: It needs more than is left.
    """
    needed = memory + MEMORY_OVERHEAD
    if needed > resources.memory_free:
        raise NoCapacity(
            f"This desktop needs {_gigabytes(needed)} of memory and this host has "
            f"{_gigabytes(resources.memory_free)} left for desktops."
        )


def require_disk(resources: Resources) -> None:
    """Refuse a machine whose overlay has nowhere to grow.

    Raises:
        NoCapacity: The file system is nearly full.
    """
    if resources.disk_free < DISK_MINIMUM:
        raise NoCapacity(
            f"The disk of this host has {_gigabytes(resources.disk_free)} left and a new desktop "
            f"needs {_gigabytes(DISK_MINIMUM)} to begin with.",
            hint="Free disk space, or destroy a desktop.",
        )


def virtual_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _resident(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"
