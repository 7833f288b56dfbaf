"""A running machine's memory goes to disk, so that the machine can be off and forget nothing.

The memory is written beside its place and appears there at once, whole. From then on the machine is
hibernated, whatever becomes of its QEMU: that is halted, and does not go on.
"""

import asyncio
import shutil
from pathlib import Path

from qemu.qmp import QMPClient

from lebureau_app.providers.qemu import memory
from lebureau_app.providers.qemu.files import persist, read_record, write_record
from lebureau_app.providers.qemu.machine import Identity, MachineFolder
from lebureau_app.providers.qemu.memory import Provenance

HIBERNATED = "Hibernated by Le Bureau."


async def keep_memory(monitor: QMPClient, machine: MachineFolder, identity: Identity) -> None:
    """Halt the guest and keep its memory for `start`; QEMU is to be ended then.

    Args:
        monitor: The machine's monitor.
        machine: The machine.
        identity: Who it is.

    Raises:
        ProviderError: The memory could not be kept. The guest goes on.
    """
    draft = draft_of(machine)
    await asyncio.to_thread(_make_anew, draft)
    try:
        await monitor.execute("stop")
        saved = await memory.save(monitor, draft / "memory", identity.machine_type)
        await asyncio.to_thread(persist, draft / "memory")
        write_record(draft / "memory.json", saved.record())
        draft.rename(machine.hibernation)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        await memory.let_go_on(monitor)
        raise
    persist(machine.path)


def provenance(machine: MachineFolder) -> Provenance:
    """Where the memory of a hibernated machine comes from.

    Raises:
        OSError, ValueError, KeyError: Its record cannot be read.
    """
    return Provenance.of(read_record(machine.hibernation / "memory.json"))


def draft_of(machine: MachineFolder) -> Path:
    """Where a memory is while it is written; what is found there later was interrupted."""
    return machine.path / "hibernation.new"


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
