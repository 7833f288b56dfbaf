"""Machines of QEMU on which a server that ended has left something half done are made whole.

A machine may have been halted to save its memory, or its disk may be on its way into a snapshot,
back to one, or to another image. Every verb begins by bringing that to an end, so that nobody stays
paused and no disk has two truths.
"""

import asyncio
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from qemu.qmp import ExecuteError, QMPClient

from lebureau_app.errors import NotYet, ProviderError
from lebureau_app.providers.base import Machine, Power
from lebureau_app.providers.qemu import hibernation, memory, processes, qmp, tidying
from lebureau_app.providers.qemu.handover import Handover
from lebureau_app.providers.qemu.hypervisor import Hypervisor
from lebureau_app.providers.qemu.machine import Identity, MachineFolder, machine_folders
from lebureau_app.providers.qemu.restoring import Restoring
from lebureau_app.providers.qemu.upgrading import Upgrading
from lebureau_app.settings import Settings

MEND_SECONDS = 30.0
"""How long it may take to let an interrupted machine go on."""

log = logging.getLogger(__name__)


class Mending(ABC):
    """The part of a provider that makes machines whole."""

    _settings: Settings
    _chains: asyncio.Lock
    """Held by whoever puts a disk on another one, or removes one that others may stand on."""

    @abstractmethod
    def _lock(self, desktop_id: str) -> asyncio.Lock: ...

    @abstractmethod
    def _proved(
        self, desktop_id: str, ref: str
    ) -> AbstractAsyncContextManager[tuple[MachineFolder, Identity, Hypervisor]]: ...

    async def _mend_all(self) -> None:
        """Bring to an end what an earlier server was doing when it ended."""
        await asyncio.gather(*map(self._mend_alone, machine_folders(self._settings)))
        with suppress(ProviderError):
            await asyncio.to_thread(tidying.remove_unfinished, self._settings)

    async def _mend_alone(self, machine: MachineFolder) -> None:
        async with self._lock(machine.desktop_id):
            await self._mend_quietly(machine)

    async def _mend_quietly(self, machine: MachineFolder) -> None:
        """Bring to an end what was interrupted on a machine, if that can be done now."""
        try:
            await self._mend(machine, machine.identity())
        except (ProviderError, OSError, ValueError, KeyError) as error:
            log.warning("The machine of %s is not whole: %s", machine.desktop_id, error)

    async def _mend(self, machine: MachineFolder, identity: Identity) -> None:
        """Bring to an end what was interrupted on a machine.

        Raises:
            NotYet: Its QEMU does not say what it is doing.
            ProviderError: It cannot be done.
        """
        if hibernation.draft_of(machine).exists():
            await self._end_hibernation(machine, identity)
        if handover := Handover.under_way(self._settings, machine):
            await self._end_handover(handover, identity)
        if restoring := Restoring.under_way(self._settings, machine):
            await restoring.carry_out()
        if upgrading := Upgrading.under_way(machine):
            await self._end_change_of_image(upgrading, Hypervisor(machine, identity))
        else:
            machine.forget_former_disk()

    async def _whole(self, machine: MachineFolder, hypervisor: Hypervisor) -> Machine:
        """What a machine is doing on which nothing is left half done.

        Raises:
            NotYet: Nobody knows.
        """
        seen = await hypervisor.observe()
        if seen.power is Power.UNKNOWN:
            raise NotYet(seen.reason)
        self._require_whole(machine)
        return seen

    def _require_whole(self, machine: MachineFolder) -> None:
        """Refuse to go on with a machine that has two truths about its disk.

        Raises:
            NotYet: Something was interrupted on it and could not be brought to an end.
        """
        if Handover.under_way(self._settings, machine) or Restoring.under_way(
            self._settings, machine
        ):
            raise NotYet("An interrupted snapshot of this desktop is brought to an end first.")
        if (upgrading := Upgrading.under_way(machine)) and not upgrading.is_whole:
            raise NotYet("An interrupted image upgrade of this desktop is brought to an end first.")

    def _require_no_upgrade(self, machine: MachineFolder) -> None:
        """Refuse what would lose the former disk of a machine, or keep it with another disk.

        Raises:
            ProviderError: An image upgrade is under way.
        """
        if Upgrading.under_way(machine):
            raise ProviderError(
                "The image of this desktop is being upgraded.",
                hint="Wait until that is done, or cancel it.",
            )

    async def _end_change_of_image(self, upgrading: Upgrading, hypervisor: Hypervisor) -> None:
        """Bring a change of image to an end, forwards or backwards, with the machine off."""
        if upgrading.is_whole:
            return
        await hypervisor.pull_the_plug()
        async with self._chains:
            await upgrading.bring_to_an_end(self._settings.images_dir.absolute())

    async def _require_changeable(
        self, machine: MachineFolder, hypervisor: Hypervisor, what: str
    ) -> None:
        """Refuse to change a machine that is not off, or is not what its disk says.

        Args:
            machine: The machine.
            hypervisor: Its QEMU.
            what: What it cannot be now, for a person.
        """
        seen = await hypervisor.observe()
        if seen.power in (Power.RUNNING, Power.UNKNOWN):
            raise ProviderError(f"A running machine cannot be {what}.", hint="Stop it first.")
        self._require_whole(machine)
        self._require_no_upgrade(machine)
        if machine.waits():
            raise ProviderError(
                f"A machine whose memory waits to be resumed cannot be {what}.",
                hint="Start the desktop, then stop it.",
            )

    async def _end_hibernation(self, machine: MachineFolder, identity: Identity) -> None:
        """Let a guest go on whose memory was not written to its end."""
        try:
            async with self._speaking(machine, identity, MEND_SECONDS) as monitor:
                await memory.let_go_on(monitor)
        except NotYet:
            if await asyncio.to_thread(processes.is_alive, identity.uuid):
                raise
        await asyncio.to_thread(shutil.rmtree, hibernation.draft_of(machine))

    async def _end_handover(self, handover: Handover, identity: Identity) -> None:
        """Bring a handover to an end, forwards or backwards, and let the guest go on."""
        machine = handover.machine
        try:
            async with self._speaking(machine, identity, MEND_SECONDS) as monitor:
                if handover.has_gone_over(await _written_node(monitor)):
                    await memory.let_go_on(monitor)
                    await to_its_end(handover.finish, identity)
                else:
                    handover.undo()
                    await memory.let_go_on(monitor)
                return
        except NotYet:
            if await asyncio.to_thread(processes.is_alive, identity.uuid):
                raise
        if Handover.under_way(self._settings, machine):
            if handover.has_gone_over(None):
                await to_its_end(handover.finish, identity)
            else:
                handover.undo()

    @asynccontextmanager
    async def _speaking(
        self, machine: MachineFolder, identity: Identity, seconds: float = memory.SAVE_SECONDS
    ) -> AsyncIterator[QMPClient]:
        """Speak with the monitor, for as long as it may take to write a memory.

        Raises:
            NotYet: QEMU is not there, or does not answer.
        """
        try:
            async with qmp.conversation(
                machine.monitor, identity.desktop_id, identity.uuid, seconds
            ) as monitor:
                with memory.disk_faults():
                    yield monitor
        except (qmp.Absent, qmp.Silent, qmp.Stranger) as error:
            if isinstance(error.__cause__, ExecuteError):
                raise ProviderError(f"QEMU refused: {error}") from error
            raise NotYet(f"QEMU does not answer: {error}") from error


async def to_its_end(work: Callable[[Identity], None], identity: Identity) -> None:
    """Do something in a thread, and wait for its end even when there is no more use for it."""
    task = asyncio.create_task(asyncio.to_thread(work, identity))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _written_node(monitor: QMPClient) -> str:
    """What QEMU calls the disk that the guest writes to."""
    drives = await qmp.listed(monitor, "query-block")
    return next(drive["inserted"]["node-name"] for drive in drives if drive["device"] == "disk")
