"""A machine becomes what one of its snapshots says it was.

Its disk, its caps and its memory change together: a note in the machine's folder says so until all
of them have, and whoever comes next, after a crash too, carries it out again from the start.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Self

from lebureau_app.providers.base import Origin, Power
from lebureau_app.providers.qemu.disk import make_overlay
from lebureau_app.providers.qemu.files import read_record, write_record
from lebureau_app.providers.qemu.handover import forget_names
from lebureau_app.providers.qemu.machine import MachineFolder, Pending
from lebureau_app.providers.qemu.snapshots import SnapshotFolder, SnapshotRecord, no_such_snapshot
from lebureau_app.settings import Settings

RESTORED = "Brought back to a snapshot."


class Restoring:
    """One machine on its way back to a snapshot; it is off.

    Args:
        machine: The machine, whose identity has been proved.
        snapshot: What it is to become.
    """

    def __init__(self, machine: MachineFolder, snapshot: SnapshotFolder) -> None:
        self._machine = machine
        self._snapshot = snapshot

    @classmethod
    def under_way(cls, settings: Settings, machine: MachineFolder) -> Self | None:
        """What was begun on a machine and not brought to an end."""
        try:
            note = read_record(_note(machine))
        except FileNotFoundError:
            return None
        return cls(machine, SnapshotFolder(settings, note["snapshot"]))

    async def carry_out(self) -> None:
        """Do all of it, once more if need be.

        Raises:
            ProviderError: There is no such snapshot any more.
        """
        machine, record = self._machine, self._snapshot.record()
        if record is None:
            raise no_such_snapshot(self._snapshot.id)
        write_record(_note(machine), {"snapshot": self._snapshot.id})
        await asyncio.to_thread(machine.use_hibernation)
        await asyncio.to_thread(machine.forget_used_hibernation)
        await self._change_disk(record)
        self._change_caps(record)
        if record.memory:
            machine.write_pending(Pending(Origin.SNAPSHOT, self._snapshot.id))
        else:
            machine.drop_pending()
        if boot := machine.boot():
            machine.write_boot(boot.ended(Power.STOPPED, RESTORED))
        _note(machine).unlink()

    async def _change_disk(self, record: SnapshotRecord) -> None:
        fresh = self._machine.path / "disk.new"
        fresh.unlink(missing_ok=True)
        await make_overlay(fresh, self._snapshot.disk, record.machine.disk)
        fresh.replace(self._machine.disk)
        forget_names(self._machine, running=False)

    def _change_caps(self, record: SnapshotRecord) -> None:
        now, then = self._machine.identity(), record.machine
        self._machine.write_identity(
            replace(then, uuid=now.uuid, name=now.name, authorized_key=now.authorized_key)
        )


def snapshot_awaited(machine: MachineFolder) -> str:
    """Id of the snapshot that the machine is to begin from, or to become; empty if there is none.

    Raises:
        ProviderError: Nobody can tell.
    """
    pending = machine.pending()
    if pending and pending.origin is not Origin.GOLDEN:
        return pending.source
    try:
        return str(read_record(_note(machine))["snapshot"])
    except FileNotFoundError:
        return ""


def _note(machine: MachineFolder) -> Path:
    return machine.path / "restoring.json"
