"""Chains of disks stay short, and no disk stays that nothing stands on.

A machine's disk takes in what is below it where that is a snapshot that was dropped and carries
nothing else, and all down to its image or golden machine where the chain has become long. Disks of
snapshots are never written to.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient

from lebureau_app.providers.qemu import processes
from lebureau_app.providers.qemu.chain import disks, foundations, layers, read_header
from lebureau_app.providers.qemu.disk import copy, put_on, relative_path
from lebureau_app.providers.qemu.files import occupied, persist
from lebureau_app.providers.qemu.handover import forget_names
from lebureau_app.providers.qemu.machine import MachineFolder, machine_folders
from lebureau_app.providers.qemu.qmp import listed
from lebureau_app.providers.qemu.restoring import snapshot_awaited
from lebureau_app.providers.qemu.snapshots import SnapshotFolder, snapshot_folders
from lebureau_app.settings import Settings

MOST_LAYERS = 4
"""How many disks may lie above an image or a golden machine."""

_SPEED = 128 << 20
"""Bytes a second that a running machine's disk takes in."""


def remove_unused(settings: Settings) -> bool:
    """Remove what dropped snapshots have left and nothing needs.

    Returns:
        Whether something was removed, so that something below may be free now.

    Raises:
        ProviderError: A disk cannot be read, so that nobody knows what stands on what.
    """
    standing = foundations(settings)
    awaited = {snapshot_awaited(machine) for machine in machine_folders(settings)}
    dropped = [folder for folder in snapshot_folders(settings) if folder.is_dropped]
    mapped = _mapped() if dropped else set()
    unused = [
        folder
        for folder in dropped
        if folder.id not in awaited and folder.memory.resolve() not in mapped
    ]
    for folder in unused:
        folder.memory.unlink(missing_ok=True)
        if folder.disk.resolve() not in standing:
            folder.remove()
    return any(not folder.path.exists() for folder in unused)


def remove_unfinished(settings: Settings) -> None:
    """Remove what was begun to become a snapshot and never will; nothing is under way now."""
    standing = foundations(settings)
    for folder in snapshot_folders(settings):
        if folder.record() is None and folder.disk.resolve() not in standing:
            folder.remove()


def better_ground(settings: Settings, machine: MachineFolder) -> Path | None:
    """The disk, further down its chain, that a machine's disk should stand on.

    Raises:
        ProviderError: A disk cannot be read.
    """
    _, *below = layers(machine.disk)
    snapshots = settings.snapshots_dir.resolve()
    above_ground = [disk for disk in below if disk.is_relative_to(snapshots)]
    ground = below[len(above_ground)]
    if len(above_ground) >= MOST_LAYERS:
        return ground
    users = _users(settings)
    idle = 0
    for disk in above_ground:
        dropped = SnapshotFolder(settings, disk.parent.name).is_dropped
        if not dropped or users[disk] > 1:
            break
        idle += 1
    return below[idle] if idle else None


def room_for(machine: MachineFolder, ground: Path) -> int:
    """Bytes that it may take to let the machine's disk stand on another one of its chain."""
    above = layers(machine.disk)
    return sum(occupied(disk) for disk in above[: above.index(ground)])


async def take_in_live(monitor: QMPClient, machine: MachineFolder, ground: Path) -> bool:
    """Have QEMU copy what is between its disk and another one below, a piece at a time.

    Args:
        monitor: The machine's monitor.
        machine: The machine.
        ground: What its disk shall stand on.

    Returns:
        Whether it is being done.
    """
    if await listed(monitor, "query-block-jobs"):
        return True
    chain = layers(machine.disk)
    nodes = {
        _depth(node["image"]): node["node-name"]
        for node in await listed(monitor, "query-named-block-nodes")
        if node["drv"] == "qcow2"
    }
    if sorted(nodes) != list(range(len(chain))):
        return False
    job = {
        "job-id": "tidy",
        "device": nodes[len(chain) - 1],
        "base-node": nodes[len(chain) - 1 - chain.index(ground)],
        "backing-file": relative_path(ground, machine.path),
        "speed": _SPEED,
    }
    await monitor.execute("block-stream", job)
    return True


class CopiedDisk:
    """A copy of the disk of a machine that is off, which stands on another disk of its chain.

    The machine may be started meanwhile: the copy takes the disk's place only if that is as it was.

    Args:
        machine: Whose disk.
    """

    def __init__(self, machine: MachineFolder) -> None:
        self._machine = machine
        self._copy = machine.path / "disk.copy"
        self._stamp = _stamp(machine.disk)

    async def make(self, ground: Path) -> None:
        """Make it, which takes as long as the disks are large.

        Raises:
            ProviderError: It cannot be made.
        """
        await copy(self._machine.disk, self._copy)
        await put_on(self._copy, ground)
        persist(self._copy)

    def take_place(self) -> None:
        """Let it be the disk of the machine, which is off, if nobody has written to the old one."""
        if _stamp(self._machine.disk) == self._stamp:
            self._copy.replace(self._machine.disk)
            forget_names(self._machine, running=False)
            persist(self._machine.path)

    def remove(self) -> None:
        """Remove it, if it has not become the disk."""
        self._copy.unlink(missing_ok=True)


def _mapped() -> set[Path]:
    """The kept memories that running machines have mapped."""
    found: set[Path] = set()
    for pid in processes.by_uuid().values():
        with suppress(OSError):
            found |= processes.kept_memories(pid)
    return found


def _users(settings: Settings) -> Counter[Path]:
    """How many disks stand right on each disk; a disk of several names is one."""
    standing = {disk.stat().st_ino: disk for disk in disks(settings)}
    below = (read_header(disk).below for disk in standing.values())
    return Counter(disk for disk in below if disk is not None)


def _depth(image: dict[str, Any]) -> int:
    """How many disks are below one, as QEMU tells it."""
    below = image.get("backing-image")
    return 1 + _depth(below) if below else 0


def _stamp(disk: Path) -> tuple[int, int, int]:
    """What changes when somebody writes to a disk, or puts another in its place."""
    told = disk.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns
