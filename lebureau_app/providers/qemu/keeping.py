"""What the qemu provider keeps of machines: hibernated memories, snapshots, and short chains."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from qemu.qmp import EventListener, QMPClient

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import (
    Fork,
    Hibernate,
    Origin,
    Power,
    Storage,
    StoredSnapshot,
)
from lebureau_app.providers.qemu import hibernation, memory, tidying
from lebureau_app.providers.qemu.chain import layers
from lebureau_app.providers.qemu.files import host_boot, occupied
from lebureau_app.providers.qemu.handover import Handover
from lebureau_app.providers.qemu.hypervisor import Hypervisor
from lebureau_app.providers.qemu.machine import Identity, MachineFolder, Pending, machine_folders
from lebureau_app.providers.qemu.memory import Provenance
from lebureau_app.providers.qemu.mending import Mending, to_its_end
from lebureau_app.providers.qemu.restoring import Restoring
from lebureau_app.providers.qemu.snapshots import SnapshotFolder, snapshot_folders

log = logging.getLogger(__name__)


class Keeping(Mending, Hibernate, Fork):
    """The abilities of a provider that keeps memories and disks; the rest of it is another class."""

    _saving: asyncio.Lock
    """Held by whoever writes a memory: one at a time, so that the room for it is still there."""

    async def hibernate(self, desktop_id: str, ref: str) -> None:
        """Write the memory into the machine's folder, and end QEMU."""
        async with self._proved(desktop_id, ref) as (machine, identity, hypervisor):
            seen = await self._whole(machine, hypervisor)
            if seen.power is Power.HIBERNATED:
                return
            if seen.power is not Power.RUNNING:
                raise ProviderError(
                    f"A machine that does not run has no memory to keep. {seen.reason}",
                    hint="Start it first.",
                )
            _require_identity(machine)
            self._require_no_upgrade(machine)
            async with self._saving:
                most = memory.most_to_save(identity.uuid, identity.memory)
                memory.require_room(machine.path, most, "The memory of this desktop")
                async with self._speaking(machine, identity) as monitor:
                    await hibernation.keep_memory(monitor, machine, identity)
            await hypervisor.end()
            if boot := machine.boot():
                machine.write_boot(boot.ended(Power.STOPPED, hibernation.HIBERNATED))

    async def take_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> StoredSnapshot:
        """Let the machine's disk be the snapshot's; the machine goes on from an overlay on it."""
        snapshot = SnapshotFolder(self._settings, snapshot_id)
        async with self._proved(desktop_id, ref) as (machine, identity, hypervisor):
            seen = await self._whole(machine, hypervisor)
            if snapshot.record() is None:
                self._require_no_upgrade(machine)
                handover = Handover(machine, snapshot, seen.power is Power.RUNNING, host_boot())
                if handover.live:
                    _require_identity(machine)
                    async with self._saving:
                        await self._hand_over_live(handover, identity)
                else:
                    await self._hand_over(handover, identity)
            snapshot.required(desktop_id)
            return snapshot.stored()

    async def restore_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> None:
        """Put the machine's disk on the snapshot's, and let its memory wait for the next start."""
        snapshot = SnapshotFolder(self._settings, snapshot_id)
        async with self._proved(desktop_id, ref) as (machine, _, hypervisor):
            if (await self._whole(machine, hypervisor)).power is Power.RUNNING:
                raise ProviderError("A running machine cannot be restored.", hint="Stop it first.")
            self._require_no_upgrade(machine)
            await hypervisor.end()
            async with self._chains:
                snapshot.required(desktop_id)
                await Restoring(machine, snapshot).carry_out()

    async def drop_snapshot(self, snapshot_id: str) -> None:
        """Take the snapshot out of use; `tidy` removes its files when nothing stands on them."""
        async with self._chains:
            await asyncio.to_thread(SnapshotFolder(self._settings, snapshot_id).drop)
            with suppress(ProviderError):
                await asyncio.to_thread(tidying.remove_unused, self._settings)

    async def stored_snapshots(self) -> list[StoredSnapshot]:
        """Every snapshot that has not been dropped."""
        found: list[StoredSnapshot] = []
        for folder in snapshot_folders(self._settings):
            with suppress(ProviderError):
                found.append(folder.stored())
        return found

    async def storage(self, desktop_id: str, ref: str) -> Storage:
        """The machine's disk and memory, with those below that only dropped snapshots have left."""
        async with self._proved(desktop_id, ref) as (machine, _, _):
            snapshots = self._settings.snapshots_dir.resolve()
            own, *below = layers(machine.disk)
            left = [
                disk
                for disk in below
                if disk.is_relative_to(snapshots)
                and SnapshotFolder(self._settings, disk.parent.name).is_dropped
            ]
            disk = sum(occupied(each) for each in (own, *left, machine.former_disk))
            kept = (machine.hibernation, machine.used_hibernation, *(each.parent for each in left))
            return Storage(disk, sum(occupied(folder / "memory") for folder in kept))

    async def tidy(self) -> bool:
        """Shorten one chain by a piece, or remove what nothing stands on any more."""
        for machine in machine_folders(self._settings):
            with suppress(ProviderError, OSError):
                if await self._shorten(machine):
                    return True
        async with self._chains:
            try:
                return await asyncio.to_thread(tidying.remove_unused, self._settings)
            except ProviderError as error:
                log.info("Nothing is removed now: %s", error)
                return False

    def _fork_of(self, snapshot_id: str, newborn: Identity) -> tuple[Path, Pending, Identity]:
        """What a newborn machine stands on, begins from and is, if it is a snapshot's fork.

        Raises:
            ProviderError: There is no such snapshot.
        """
        snapshot = SnapshotFolder(self._settings, snapshot_id)
        parent = snapshot.required().machine
        caps = {name: getattr(parent, name) for name in ("image", "vcpus", "memory", "disk")}
        identity = replace(newborn, machine_type=parent.machine_type, **caps)
        return snapshot.disk, Pending(Origin.FORK, snapshot.id), identity

    async def _hand_over_live(self, handover: Handover, identity: Identity) -> None:
        """Snapshot a running machine: save its memory, and at that instant change its disk."""
        machine, file = handover.machine, handover.snapshot.memory
        memory.require_room(
            machine.path,
            memory.most_to_save(identity.uuid, identity.memory),
            "A snapshot of this desktop",
        )
        await handover.begin()
        try:
            async with self._speaking(machine, identity) as monitor:
                with monitor.listener("STOP") as halts:
                    handover.remember(await memory.save(monitor, file, identity.machine_type))
                    await _change_disk(monitor, handover)
                    await monitor.execute("cont")
                    paused = time.time() - await _moment(halts)
            log.info("Desktop %s was paused for %.3f s.", machine.desktop_id, paused)
            await to_its_end(handover.finish, identity)
        except BaseException:
            await self._mend(machine, identity)
            raise

    async def _hand_over(self, handover: Handover, identity: Identity) -> None:
        """Snapshot a machine that is off: its disk, and its memory if one waits for it."""
        machine = handover.machine
        memory.require_room(machine.path, 0, "A snapshot of this desktop")
        if pending := machine.pending():
            _require_no_clone(pending)
            await Restoring(machine, SnapshotFolder(self._settings, pending.source)).carry_out()
        await handover.begin(*self._waiting_memory(machine))
        await to_its_end(handover.finish, identity)

    async def _shorten(self, machine: MachineFolder) -> bool:
        """Let a machine's disk take in what it need not stand on, by a piece.

        Returns:
            Whether there may be more to do.
        """
        ground = await asyncio.to_thread(tidying.better_ground, self._settings, machine)
        if ground is None:
            return False
        async with self._lock(machine.desktop_id):
            identity = machine.identity()
            hypervisor = Hypervisor(machine, identity)
            running = (await self._whole(machine, hypervisor)).power is Power.RUNNING
            if machine.pending() or ground not in layers(machine.disk):
                return False
            self._require_no_upgrade(machine)
            memory.require_room(machine.path, tidying.room_for(machine, ground), "A shorter chain")
            if running:
                async with self._speaking(machine, identity) as monitor:
                    return await tidying.take_in_live(monitor, machine, ground)
            copied = tidying.CopiedDisk(machine)
        try:
            await copied.make(ground)
            async with self._lock(machine.desktop_id):
                if (await hypervisor.observe()).power not in (Power.RUNNING, Power.UNKNOWN):
                    copied.take_place()
        finally:
            copied.remove()
        return True

    def _waiting_memory(
        self, machine: MachineFolder
    ) -> tuple[Path, Provenance] | tuple[None, None]:
        """The memory that a machine which is off would resume, and where it comes from."""
        if machine.is_hibernated():
            return machine.hibernation / "memory", hibernation.provenance(machine)
        if pending := machine.pending():
            source = SnapshotFolder(self._settings, pending.source)
            record = source.record()
            if record and record.memory:
                return source.memory, record.memory
        return None, None


def _require_identity(machine: MachineFolder) -> None:
    """Refuse to keep the state of a running guest that would begin anew if it were started now."""
    if machine.pending():
        raise ProviderError(
            "This desktop has not got its identity yet.", hint="Wait until it is ready."
        )


def _require_no_clone(pending: Pending) -> None:
    """Refuse to keep a disk whose guest has never had an identity of its own."""
    if pending.origin.is_clone:
        raise ProviderError("This desktop has never been used.", hint="Start it first.")


async def _change_disk(monitor: QMPClient, handover: Handover) -> None:
    """Have QEMU write to the overlay from now on."""
    change = {
        "device": "disk",
        "snapshot-file": str(handover.overlay),
        "snapshot-node-name": handover.node,
        "format": "qcow2",
        "mode": "existing",
    }
    await monitor.execute("blockdev-snapshot-sync", change)


async def _moment(events: EventListener) -> float:
    """When the next event happened, in seconds since 1970."""
    stamp = (await events.get())["timestamp"]
    assert isinstance(stamp, dict)
    return stamp["seconds"] + stamp["microseconds"] / 1e6
