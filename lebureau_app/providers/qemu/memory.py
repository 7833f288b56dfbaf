"""The memory of a running machine becomes a file that it, or a copy of it, can go on from.

QEMU writes each page to its own place in the file (`mapped-ram`), pages of nothing but
zeros not at all. The guest may run on meanwhile: what it changes is written again, and only the
last of it while it is halted. The state of the devices comes behind.
"""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from qemu.qmp import ExecuteError, QMPClient

from lebureau_app.errors import NoCapacity, ProviderError
from lebureau_app.providers.qemu import migration, processes, ramfile
from lebureau_app.providers.qemu.beginning import KeptMemory, NotResumed
from lebureau_app.providers.qemu.disk import full_disk
from lebureau_app.providers.qemu.files import occupied
from lebureau_app.providers.qemu.qmp import listed, told
from lebureau_app.providers.qemu.resources import gigabytes

SAVE_SECONDS = 600.0
"""How long a memory may take to be written."""

LIVE_SECONDS = 30.0
"""How long a guest may write faster than its memory is saved; then it is halted for the rest."""

MARGIN = 1 << 30
"""Bytes of disk that stay free for the guests' own disks to grow."""

HEAD = 4096
"""Bytes left empty at a file's beginning. QEMU cuts the file to there, and what had been cut to
nothing ext4 writes to the disk when it is closed (`auto_da_alloc`, ext4(5)): a halted guest would
wait for that."""

_BANDWIDTH = 10**11
"""Bytes a second: as fast as the disk is."""

_DOWNTIME = 300
"""Milliseconds that QEMU may halt a live guest for, by its own estimate."""

_STILL = ("paused", "postmigrate", "finish-migrate", "save-vm", "io-error")
_OVER = (None, "none", "completed", "failed", "cancelled")
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a memory comes from.

    Attributes:
        qemu: The whole version of the QEMU that wrote it.
        accelerator: `kvm` or `tcg`.
        machine_type: QEMU's versioned machine type.
        created: Seconds since 1970.
        size: Bytes that it occupies.
        pages: Where in the file the memory begins, as it can be mapped; 0 if it cannot.
        devices: Where in the file the state of the devices begins; 0 likewise.
    """

    qemu: str
    accelerator: str
    machine_type: str
    created: float
    size: int
    pages: int
    devices: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """What a record, which may hold more, says about it.

        Raises:
            KeyError: It does not say it.
        """
        whole: dict[str, Any] = {"pages": 0, "devices": 0, **record}
        return cls(**{name: whole[name] for name in cls.__slots__})

    def record(self) -> dict[str, Any]:
        """It, to be written down."""
        return asdict(self)

    def kept(self, file: Path) -> KeptMemory:
        """The memory in a file, for QEMU to go on with.

        Raises:
            NotResumed: The file has lost its end.
        """
        if not self.pages:
            return KeptMemory(file)
        if file.stat().st_size <= self.devices:
            raise NotResumed("its file is shorter than it was")
        return KeptMemory(file, self.pages, self.devices)


async def save(monitor: QMPClient, file: Path, machine_type: str) -> Provenance:
    """Write a machine's memory to a file; the guest is halted when it is done.

    If it ran until then, `ramfile.blank_stale_pages` comes before the memory's first use.

    Args:
        monitor: The machine's monitor.
        file: What to write; closed to everybody else.
        machine_type: The machine's.

    Raises:
        NoCapacity: The disk became full; `let_go_on` is next.
        ProviderError: QEMU could not do it, or not as we know it; `let_go_on` is next.
    """
    await asyncio.to_thread(file.touch, 0o600)
    try:
        await end_jobs(monitor)
        await migration.prepare(monitor, with_pages=True)
        speed = {"max-bandwidth": _BANDWIDTH, "downtime-limit": _DOWNTIME}
        await monitor.execute("migrate-set-parameters", speed)
        await monitor.execute("migrate", {"uri": f"file:{file},offset={HEAD}"})
        await _finish(monitor)
        devices = await _add_devices(monitor, file, machine_type)
        return Provenance(
            qemu=await _release(monitor),
            accelerator=await _accelerator(monitor),
            machine_type=machine_type,
            created=time.time(),
            size=occupied(file),
            pages=ramfile.layout(file).pages,
            devices=devices,
        )
    except (ExecuteError, migration.Failed) as error:
        raise _refusal(str(error), file) from error


async def let_go_on(monitor: QMPClient) -> None:
    """Let a halted guest go on, whether its memory has been saved, or is still being saved.

    A save that is under way comes to its end first, with the guest halted so that this is soon.
    """
    if (await told(monitor, "query-migrate")).get("status") not in _OVER:
        await monitor.execute("stop")
        with suppress(migration.Failed):
            await migration.finish(monitor)
    await migration.prepare(monitor, with_pages=False)
    if (await told(monitor, "query-status")).get("status") in _STILL:
        await monitor.execute("cont")


async def end_jobs(monitor: QMPClient) -> None:
    """End what QEMU does to the machine's disks in the background; it leaves them as good."""
    while jobs := await listed(monitor, "query-block-jobs"):
        for job in jobs:
            with suppress(ExecuteError):
                await monitor.execute("block-job-cancel", {"device": job["device"], "force": True})
        await asyncio.sleep(_LOOK_AGAIN)


def require_room(place: Path, needed: int, what: str) -> None:
    """Refuse early what the disk has no room for.

    Args:
        place: Where it would be written.
        needed: Bytes.
        what: Its name for a person.

    Raises:
        NoCapacity: There is not enough room.
    """
    left = max(0, shutil.disk_usage(place).free - MARGIN)
    if needed > left:
        raise NoCapacity(
            f"{what} may need {gigabytes(needed)} of disk and this host has {gigabytes(left)} "
            "left for it.",
            hint="Delete snapshots, or destroy a desktop.",
        )


@contextmanager
def disk_faults() -> Iterator[None]:
    """Tell a full disk from every other fault of the host.

    Raises:
        NoCapacity: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk() from error
        raise


def most_to_save(uuid: str, memory: int) -> int:
    """How many bytes saving a running machine's memory may take at most.

    That is what QEMU holds, and what its guest may have from a kept memory without having looked at
    it yet (proc_pid_smaps(5)).

    Args:
        uuid: The machine's.
        memory: Bytes of memory that the guest has.
    """
    try:
        pid = processes.by_uuid()[uuid]
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        held = int(rollup.partition("Rss:")[2].split()[0]) << 10
        shared = sum(file.stat().st_blocks * 512 for file in processes.kept_memories(pid))
        return min(memory, held + shared)
    except (OSError, ValueError, LookupError):
        return memory


async def _add_devices(monitor: QMPClient, file: Path, machine_type: str) -> int:
    """Put the state of the devices behind the memory.

    Returns:
        Where in the file it begins.
    """
    state = file.with_suffix(".devices")
    await asyncio.to_thread(state.touch, 0o600)
    try:
        await migration.save_devices(monitor, state)
        return await asyncio.to_thread(ramfile.add_devices, file, state, machine_type)
    finally:
        state.unlink()


async def _finish(monitor: QMPClient) -> None:
    """Wait until the memory has been written; halt a guest that does not let it come to an end."""
    try:
        async with asyncio.timeout(LIVE_SECONDS):
            await migration.finish(monitor)
    except TimeoutError:
        await monitor.execute("stop")
        await migration.finish(monitor)


def _refusal(said: str, file: Path) -> ProviderError:
    if os.strerror(errno.ENOSPC) in said or shutil.disk_usage(file.parent).free < 1 << 20:
        return full_disk()
    return ProviderError(f"QEMU could not write the machine's memory: {said}")


async def _release(monitor: QMPClient) -> str:
    """The whole version of this QEMU, as its `--version` tells it."""
    version = await told(monitor, "query-version")
    numbers = ".".join(str(version["qemu"][part]) for part in ("major", "minor", "micro"))
    return f"{numbers} ({version['package']})" if version["package"] else numbers


async def _accelerator(monitor: QMPClient) -> str:
    return "kvm" if (await told(monitor, "query-kvm")).get("enabled") else "tcg"
