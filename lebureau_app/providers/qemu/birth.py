"""What a machine begins from, and the disk that belongs to it.

A machine that is not settled has nothing of anybody in it: its overlay is made anew for each start,
so that it always fits the memory that is resumed. A settled one goes on from its own disk, and from
its own memory if it is hibernated.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lebureau_app.providers.base import Origin
from lebureau_app.providers.qemu import hibernation
from lebureau_app.providers.qemu.beginning import Beginning, KeptMemory, NotResumed
from lebureau_app.providers.qemu.disk import make_overlay
from lebureau_app.providers.qemu.golden import GoldenShelf
from lebureau_app.providers.qemu.image import load_image
from lebureau_app.providers.qemu.machine import Identity, MachineFolder, Pending
from lebureau_app.providers.qemu.snapshots import SnapshotFolder
from lebureau_app.settings import Settings


class Births:
    """How machines of this host begin.

    Args:
        settings: Where images and snapshots live.
        shelf: The golden machines.
    """

    def __init__(self, settings: Settings, shelf: GoldenShelf) -> None:
        self._images = settings.images_dir.absolute()
        self._settings = settings
        self._shelf = shelf

    async def beginning(self, machine: MachineFolder, identity: Identity) -> Beginning:
        """What the next boot begins from; a machine that is not settled gets a fresh disk for it.

        Raises:
            NotResumed: The memory is not there, or is damaged.
        """
        if machine.is_hibernated():
            return Beginning(Origin.HIBERNATION, _hibernated(machine))
        if (pending := machine.pending()) is None:
            return Beginning()
        memory = None if pending.cold else await self._memory(pending)
        if machine.boot() is not None:
            await self._renew_disk(machine, identity, self._foundation(pending))
        return Beginning(pending.origin, memory)

    async def give_up_memory(self, machine: MachineFolder, identity: Identity) -> None:
        """Let the next start be a boot, whatever memory there was to resume."""
        await asyncio.to_thread(machine.use_hibernation)
        await asyncio.to_thread(machine.forget_used_hibernation)
        pending = machine.pending()
        if pending is None:
            return
        if pending.origin is Origin.GOLDEN:
            await self.begin_as_image(machine, identity)
        elif pending.origin is Origin.FORK:
            machine.write_pending(replace(pending, cold=True))
        else:
            await self._renew_disk(machine, identity, self._foundation(pending))
            machine.drop_pending()

    def may_take_the_slow_road(self, machine: MachineFolder) -> bool:
        """Whether it is a newborn that can begin as its image does, now that its resume failed.

        Its golden machine is read again before it is used again.
        """
        pending = None if machine.is_hibernated() else machine.pending()
        if pending is None or pending.origin is not Origin.GOLDEN:
            return False
        self._shelf.doubt(self._shelf.folder(pending.source))
        return True

    def release(self, machine: MachineFolder) -> str:
        """Version of the QEMU that kept what waits here; empty if nobody knows."""
        with suppress(OSError, ValueError, KeyError):
            if machine.is_hibernated():
                return hibernation.provenance(machine).qemu
            if pending := machine.pending():
                record = self._snapshot(pending).record()
                return record.memory.qemu if record and record.memory else ""
        return ""

    async def begin_as_image(self, machine: MachineFolder, identity: Identity) -> None:
        """Let a newborn machine begin as its image does, with a fresh disk."""
        image = load_image(self._images, identity.image)
        await self._renew_disk(machine, identity, image.disk)
        machine.drop_pending()

    async def _memory(self, pending: Pending) -> KeptMemory | None:
        if pending.origin is Origin.GOLDEN:
            golden = self._shelf.folder(pending.source)
            if not await self._shelf.proved(golden):
                raise NotResumed("the golden machine's files are gone or damaged")
            return golden.memory()
        snapshot = self._snapshot(pending)
        if (record := snapshot.record()) is None:
            raise NotResumed("the snapshot that it begins from is gone")
        if record.memory is None:
            return None
        if not snapshot.memory.is_file():
            raise NotResumed("the snapshot's memory is gone")
        return record.memory.kept(snapshot.memory)

    def _foundation(self, pending: Pending) -> Path:
        """The disk that a machine's overlay stands on until it is settled."""
        if pending.origin is Origin.GOLDEN:
            return self._shelf.folder(pending.source).disk
        return self._snapshot(pending).disk

    def _snapshot(self, pending: Pending) -> SnapshotFolder:
        return SnapshotFolder(self._settings, pending.source)

    async def _renew_disk(self, machine: MachineFolder, identity: Identity, backing: Path) -> None:
        """Throw the overlay away and put an empty one in its place, at once."""
        fresh = machine.path / "disk.new"
        fresh.unlink(missing_ok=True)
        await make_overlay(fresh, backing, identity.disk)
        fresh.replace(machine.disk)


def _hibernated(machine: MachineFolder) -> KeptMemory:
    """The memory that a machine wakes with.

    Raises:
        NotResumed: It is damaged.
    """
    try:
        return hibernation.provenance(machine).kept(machine.hibernation / "memory")
    except (OSError, ValueError, KeyError) as error:
        raise NotResumed(f"what is known of it cannot be read: {error}") from error
