"""What this host has left for desktops. Memory and disk in bytes."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from lebureau_app.errors import NoCapacity

MEMORY_RESERVE = 1 << 30
"""What the host keeps for itself and Le Bureau."""

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
    """Measure the host: what is free now, less what running machines have not taken yet.

    Args:
        place: A folder on the file system of the machines.
        promised: PID of each running machine to the bytes of memory it may come to use.
    """
    memory = psutil.virtual_memory()
    outstanding = sum(max(0, most - _private(pid)) for pid, most in promised.items())
    disk = shutil.disk_usage(place)
    free = max(0, memory.available - MEMORY_RESERVE - outstanding)
    return Resources(memory.total, free, disk.total, disk.free)


def require_memory(resources: Resources, needed: int) -> None:
    """Refuse a machine that may come to use more memory than the host can give.

    Args:
        resources: What the host has left.
        needed: Bytes of the guest's memory and of QEMU's own.

    Raises:
        NoCapacity: It needs more than is left.
    """
    if needed > resources.memory_free:
        raise NoCapacity(
            f"This desktop needs {gigabytes(needed)} of memory and this host has "
            f"{gigabytes(resources.memory_free)} left for desktops."
        )


def require_disk(resources: Resources) -> None:
    """Refuse a machine whose overlay has nowhere to grow.

    Raises:
        NoCapacity: The file system is nearly full.
    """
    if resources.disk_free < DISK_MINIMUM:
        raise NoCapacity(
            f"The disk of this host has {gigabytes(resources.disk_free)} left and a new desktop "
            f"needs {gigabytes(DISK_MINIMUM)} to begin with.",
            hint="Free disk space, or destroy a desktop.",
        )


def virtual_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _private(pid: int) -> int:
    """What a process keeps of its own and the host cannot reclaim (proc_pid_smaps(5)).

    The pages of a golden machine that it only reads are not among it: they are the host's cache.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.partition("Anonymous:")[2].split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return 0


def gigabytes(size: int) -> str:
    """Bytes as a person reads them; a GB is a GiB."""
    return f"{size / (1 << 30):.1f} GB"
