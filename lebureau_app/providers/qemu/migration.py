"""How a memory leaves QEMU and comes back (docs/devel/migration in QEMU's source).

A memory is one file with each page in its own place (`mapped-ram`) and the devices behind: it is
mapped, so that no page is read before the guest wants it. One thread writes it: with several
(`multifd`) QEMU 10 crashes when it is cancelled, and hangs when the disk is full.
"""

import asyncio
from pathlib import Path

from qemu.qmp import ExecuteError, QMPClient

from lebureau_app.providers.qemu.beginning import KeptMemory
from lebureau_app.providers.qemu.qmp import told

_LOOK_AGAIN = 0.01


class Failed(Exception):
    """QEMU did not do it; the message is its own."""


async def load(monitor: QMPClient, memory: KeptMemory) -> None:
    """Load a memory into a QEMU that was started for it (`-incoming defer -S`); it stays paused.

    Args:
        monitor: The monitor of that QEMU.
        memory: What to load.

    Raises:
        Failed: QEMU does not take it.
    """
    source = {"uri": f"file:{memory.file},offset={memory.devices}", "exit-on-error": False}
    try:
        await prepare(monitor, with_pages=not memory.pages)
        await monitor.execute("migrate-incoming", source)
    except ExecuteError as error:
        raise Failed(str(error)) from error
    await finish(monitor)


async def save_devices(monitor: QMPClient, state: Path) -> None:
    """Write the devices of a halted machine, whose memory has been written already.

    Args:
        monitor: The machine's monitor.
        state: The file to write.

    Raises:
        ExecuteError: QEMU could not.
    """
    await prepare(monitor, with_pages=False)
    await monitor.execute("xen-save-devices-state", {"filename": str(state), "live": False})


async def prepare(monitor: QMPClient, *, with_pages: bool) -> None:
    """Set whether the next memory leaves or comes with its pages, or only the devices do."""
    wanted = [{"capability": "mapped-ram", "state": with_pages}]
    await monitor.execute("migrate-set-capabilities", {"capabilities": wanted})


async def finish(monitor: QMPClient) -> None:
    """Wait until the memory has left or come.

    Raises:
        Failed: It has not.
    """
    while (migration := await told(monitor, "query-migrate")).get("status") != "completed":
        if migration.get("status") in ("failed", "cancelled"):
            raise Failed(migration.get("error-desc") or "it does not say why.")
        await asyncio.sleep(_LOOK_AGAIN)
