"""Desktops in QEMU on this machine.

QEMU processes outlive the server and are adopted again by what they say of themselves on their
monitor. What a machine is (`spec.json`) and how its last boot went (`boot.json`) is in its folder;
there is no other state.
"""

import asyncio
import logging
import platform
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4
from weakref import WeakValueDictionary

from lebureau_app.errors import (
    LeBureauError,
    MemoryRefused,
    NotYet,
    ProviderError,
    UnknownMachine,
)
from lebureau_app.providers.base import (
    Capacity,
    Egress,
    Endpoint,
    GuestAnswer,
    Host,
    Machine,
    MachineSpec,
    Origin,
    Power,
    Provider,
)
from lebureau_app.providers.qemu import agent, processes, resources
from lebureau_app.providers.qemu.accel import Accelerator, detect
from lebureau_app.providers.qemu.beginning import Beginning, NotResumed
from lebureau_app.providers.qemu.birth import Births
from lebureau_app.providers.qemu.disk import grow, make_overlay
from lebureau_app.providers.qemu.golden import GoldenShelf
from lebureau_app.providers.qemu.goldens import GoldenMachines
from lebureau_app.providers.qemu.hypervisor import Hypervisor
from lebureau_app.providers.qemu.image import Image, load_image
from lebureau_app.providers.qemu.image_changes import ImageChanges
from lebureau_app.providers.qemu.keeping import Keeping
from lebureau_app.providers.qemu.machine import (
    Identity,
    MachineFolder,
    Pending,
    egress_socket,
    machine_folders,
    sweep,
    tail,
)
from lebureau_app.settings import Settings

BINARY = "qemu-system-x86_64"
AGENT_SECONDS = 10.0
SLOW_ROAD = "Its golden machine could not be resumed ({}), so it was booted from its image."
TRY_AGAIN = (
    "Nothing is lost: start it again. If that does not help, start it cold: its disk is as it was, "
    "but what was open is lost."
)

log = logging.getLogger(__name__)


class QemuProvider(Keeping, GoldenMachines, ImageChanges, Provider, Egress):
    """Machines of QEMU on this host.

    Args:
        settings: Where machines, images and sockets live.
        binary: QEMU's system emulator.
    """

    name = "qemu"

    def __init__(self, settings: Settings, binary: str = BINARY) -> None:
        self._settings = settings
        self._binary = binary
        self._accelerator: Accelerator | None = None
        self._probing = asyncio.Lock()
        self._admission = asyncio.Lock()
        self._chains = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._shelf = GoldenShelf(settings)
        self._births = Births(settings, self._shelf)
        self._checking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make the folders, remove what was interrupted, and begin to check golden machines."""
        self._settings.make_folders()
        await asyncio.to_thread(sweep, self._settings)
        await self._mend_all()
        await asyncio.to_thread(self._shelf.sweep_drafts)
        self._checking = asyncio.create_task(self._check_goldens())

    async def close(self) -> None:
        """Let the check of golden machines be; machines keep running."""
        if self._checking:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def capacity(self) -> Capacity:
        """This host; offline with a note if QEMU cannot be run."""
        try:
            accelerator = await self.accelerator()
            online, name, note = True, accelerator.name, accelerator.note
        except LeBureauError as error:
            online, name, note = False, "none", f"{error.message} {error.hint}"
        left = await self._resources()
        host = Host(
            name=platform.node(),
            provider=self.name,
            online=online,
            accelerator=name,
            vcpus=resources.virtual_cpus(),
            memory_total=left.memory_total,
            memory_free=left.memory_free,
            disk_total=left.disk_total,
            disk_free=left.disk_free,
            desktops=len(machine_folders(self._settings)),
            note=note,
        )
        return Capacity([host])

    async def check(self, spec: MachineSpec) -> None:
        """Refuse what this host's memory or disk cannot carry now."""
        left = await self._resources()
        resources.require_memory(left, spec.memory + (await self.accelerator()).overhead)
        resources.require_disk(left)

    async def create(self, spec: MachineSpec) -> str:
        """Make the machine's folder with its overlay; a failure leaves nothing."""
        machine = self._machine(spec.desktop_id)
        async with self._lock(spec.desktop_id):
            with _host_faults():
                if not machine.exists():
                    await self._make(machine, spec)
                return machine.identity().uuid

    async def start(self, desktop_id: str, ref: str, *, cold: bool = False) -> None:
        """Start QEMU and wait until its monitor says that this machine runs.

        Raises:
            NoCapacity: The host may not have the memory for it.
            MemoryRefused: Its memory cannot be resumed here; the message says by which QEMU it was
                kept, and by which not taken.
            ProviderError: QEMU did not start; its last words say why.
        """
        async with self._proved(desktop_id, ref) as (machine, identity, hypervisor):
            seen = await self._whole(machine, hypervisor)
            if seen.power is Power.RUNNING:
                return
            await hypervisor.end()
            if cold:
                await self._births.give_up_memory(machine, identity)
            await self._rise(machine, identity, hypervisor)

    async def settle(self, desktop_id: str, ref: str) -> None:
        """Take note that a resumed guest has its identity."""
        async with self._proved(desktop_id, ref) as (_, _, hypervisor):
            hypervisor.settle()

    async def make_way(self, desktop_id: str, ref: str) -> None:
        """Lower the priority of the machine's process for as long as it lives, and learn from it
        what the next one will need."""
        async with self._proved(desktop_id, ref) as (_, identity, _):
            await asyncio.to_thread(self._make_way, identity.uuid)

    async def stop(self, desktop_id: str, ref: str, *, force: bool = False) -> None:
        """Press the power button, or end QEMU."""
        async with self._proved(desktop_id, ref) as (_, _, hypervisor):
            seen = await hypervisor.observe()
            if seen.power in (Power.STOPPED, Power.HIBERNATED):
                return
            if force or seen.power is Power.FAILED:
                await hypervisor.pull_the_plug()
            else:
                await hypervisor.press_power_button()

    async def restart(self, desktop_id: str, ref: str) -> None:
        """Reset the machine; one that is not running, or not settled, is started."""
        async with self._proved(desktop_id, ref) as (machine, _, hypervisor):
            if (await hypervisor.observe()).power is Power.RUNNING:
                if not machine.waits():
                    await hypervisor.reset()
                    return
                await hypervisor.pull_the_plug()
        await self.start(desktop_id, ref)

    async def destroy(self, desktop_id: str, ref: str) -> None:
        """End QEMU and remove folder and sockets, after the identity has been read again."""
        machine = self._machine(desktop_id)
        if machine.exists():
            async with self._proved(desktop_id, ref) as (_, _, hypervisor):
                await hypervisor.end()
                await asyncio.to_thread(machine.remove)
        elif await asyncio.to_thread(processes.kill, ref):
            await asyncio.to_thread(machine.remove)
        else:
            raise NotYet("QEMU has been killed and is still there.")

    async def resize(
        self, desktop_id: str, ref: str, *, vcpus: int, memory: int, disk: int
    ) -> None:
        """Write the new caps down and grow the overlay; the guest grows its file system at boot."""
        async with self._proved(desktop_id, ref) as (machine, identity, hypervisor):
            await self._require_changeable(machine, hypervisor, "resized")
            await hypervisor.end()
            size = max(disk, identity.disk)
            if size > identity.disk:
                await grow(machine.disk, size)
            machine.write_identity(replace(identity, vcpus=vcpus, memory=memory, disk=size))

    async def inspect(self, desktop_id: str, ref: str) -> Machine | None:
        """The machine, by what its monitor says; None if the folder is not there or another's."""
        try:
            async with self._proved(desktop_id, ref) as (_, _, hypervisor):
                return await hypervisor.observe()
        except UnknownMachine:
            return None

    async def inspect_all(self) -> list[Machine]:
        """Every machine that says it is ours, all asked at the same time."""
        await asyncio.to_thread(processes.reap)
        found = await asyncio.gather(*map(self._inspected, machine_folders(self._settings)))
        return [machine for machine in found if machine is not None]

    async def endpoint(self, desktop_id: str, ref: str, port: int) -> Endpoint:
        """The loopback port that QEMU forwards to the guest's."""
        machine = self._machine(desktop_id)
        seen = await self.inspect(desktop_id, ref)
        boot = machine.boot()
        if seen is None or seen.power is not Power.RUNNING or boot is None:
            raise UnknownMachine("This desktop's machine is not running.")
        if port not in boot.ports:
            raise ProviderError(f"Port {port} of a desktop cannot be reached from outside.")
        return Endpoint("127.0.0.1", boot.ports[port])

    async def read_guest_file(self, desktop_id: str, ref: str, path: str) -> bytes:
        """The file, by the guest agent."""
        machine = self._machine(desktop_id)
        machine.proved(ref)
        async with agent.conversation(machine.agent, AGENT_SECONDS) as guest:
            return await guest.read_file(path)

    async def run_in_guest(
        self,
        desktop_id: str,
        ref: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> GuestAnswer:
        """The command's answer, by the guest agent."""
        machine = self._machine(desktop_id)
        machine.proved(ref)
        async with agent.conversation(machine.agent, timeout) as guest:
            return await guest.run(command, stdin)

    async def log_tail(self, desktop_id: str, ref: str, lines: int = 50) -> str:
        """The end of what the guest's console and QEMU said."""
        machine = self._machine(desktop_id)
        machine.proved(ref)
        return "\n".join(filter(None, (tail(machine.serial_log, lines), tail(machine.log, lines))))

    def egress_socket(self, desktop_id: str) -> Path:
        """Where the egress proxy of this desktop has to listen."""
        return egress_socket(self._settings, desktop_id)

    async def accelerator(self) -> Accelerator:
        """How guests run here; probed the first time.

        Raises:
            ProviderError: There is no QEMU.
        """
        async with self._probing:
            if self._accelerator is None:
                cache = self._settings.home / "accelerator.json"
                self._accelerator = await detect(self._binary, cache)
            return self._accelerator

    def _make_way(self, uuid: str) -> None:
        if (pid := processes.by_uuid().get(uuid)) is not None:
            processes.make_way(pid)
            self._shelf.learn(pid)

    def _machine(self, desktop_id: str) -> MachineFolder:
        return MachineFolder(self._settings, desktop_id)

    def _lock(self, desktop_id: str) -> asyncio.Lock:
        """The lock that lets one verb at a time touch a machine."""
        return self._locks.setdefault(desktop_id, asyncio.Lock())

    @asynccontextmanager
    async def _proved(
        self, desktop_id: str, ref: str
    ) -> AsyncIterator[tuple[MachineFolder, Identity, Hypervisor]]:
        """Hold a machine that is provably the one that is meant."""
        machine = self._machine(desktop_id)
        async with self._lock(desktop_id):
            with _host_faults():
                machine.proved(ref)
                await self._mend_quietly(machine)
                identity = machine.proved(ref)
                yield machine, identity, Hypervisor(machine, identity)

    async def _make(self, machine: MachineFolder, spec: MachineSpec) -> None:
        """Make the folder with its overlay aside, then let it appear in its place at once."""
        image = self._image(spec.image)
        resources.require_disk(await self._resources())
        identity = Identity(
            desktop_id=spec.desktop_id,
            uuid=str(uuid4()),
            name=spec.name,
            image=spec.image,
            vcpus=spec.vcpus,
            memory=spec.memory,
            disk=spec.disk,
            authorized_key=spec.authorized_key,
            machine_type=(await self.accelerator()).machine_type,
            golden=spec.golden,
        )
        backing, pending = image.disk, None
        if spec.snapshot:
            backing, pending, identity = self._fork_of(spec.snapshot, identity)
        elif not spec.golden and (golden := await self._golden_folder(spec)):
            backing, pending = golden.disk, Pending(Origin.GOLDEN, golden.path.name)
        try:
            machine.make_run_folder()
            machine.make_draft()
            async with self._chains:
                await make_overlay(machine.draft / machine.disk.name, backing, identity.disk)
            if pending:
                machine.write_pending(pending, machine.draft)
            machine.write_identity(identity, machine.draft)
            machine.draft.rename(machine.path)
        except BaseException:
            machine.remove()
            raise

    async def _rise(
        self, machine: MachineFolder, identity: Identity, hypervisor: Hypervisor
    ) -> None:
        """Let a machine that is off begin: from its memory if it has one, or else from its disk.

        A newborn whose golden machine cannot be resumed is booted from its image instead.
        """
        try:
            beginning = await self._births.beginning(machine, identity)
            await self._launch(identity, hypervisor, beginning)
        except NotResumed as refusal:
            if not self._births.may_take_the_slow_road(machine):
                raise await self._refused(machine, refusal) from refusal
            log.warning("Desktop %s is booted: %s", machine.desktop_id, refusal)
            await hypervisor.end()
            await self._births.begin_as_image(machine, identity)
            await self._launch(identity, hypervisor, Beginning(note=SLOW_ROAD.format(refusal)))

    async def _launch(
        self, identity: Identity, hypervisor: Hypervisor, beginning: Beginning
    ) -> None:
        """Start QEMU where the host has the memory for it, and resume what there is to resume."""
        image = self._image(identity.image)
        accelerator = await self.accelerator()
        if beginning.memory:
            self._shelf.read_ahead(beginning.memory)
        async with self._admission:
            needed = identity.memory + accelerator.overhead
            resources.require_memory(await self._resources(), needed)
            await hypervisor.start(image, accelerator, beginning, self._binary)
        if beginning.memory:
            await hypervisor.resume(beginning.origin, beginning.memory)

    async def _refused(self, machine: MachineFolder, refusal: NotResumed) -> MemoryRefused:
        """Why a memory that is not to be had again was not taken, by which QEMU."""
        kept, here = self._births.release(machine), (await self.accelerator()).release
        message = f"The memory of this desktop could not be resumed: {refusal}."
        if kept and kept != here:
            message += f" It was kept by QEMU {kept}, and this host has QEMU {here}."
        return MemoryRefused(message, hint=TRY_AGAIN)

    def _image(self, image_id: str) -> Image:
        return load_image(self._settings.images_dir.absolute(), image_id)

    async def _resources(self) -> resources.Resources:
        return await asyncio.to_thread(self._measure)

    def _measure(self) -> resources.Resources:
        running = processes.by_uuid()
        overhead = self._accelerator.overhead if self._accelerator else 0
        promised = {}
        for machine in machine_folders(self._settings):
            try:
                identity = machine.identity()
            except UnknownMachine:
                continue
            if identity.uuid in running:
                promised[running[identity.uuid]] = identity.memory + overhead
        return resources.measure(self._settings.desktops_dir, promised)

    async def _inspected(self, machine: MachineFolder) -> Machine | None:
        """One machine, whose troubles must not hide the others."""
        async with self._lock(machine.desktop_id):
            try:
                identity = machine.identity()
            except UnknownMachine:
                return None
            try:
                machine.trim_logs()
                await self._mend_quietly(machine)
                return await Hypervisor(machine, identity).observe()
            except (ProviderError, OSError) as error:
                reason = f"It cannot be looked at: {error}"
                return Machine(machine.desktop_id, identity.uuid, Power.UNKNOWN, reason)


@contextmanager
def _host_faults() -> Iterator[None]:
    """Turn what the host's file system refuses into an error that a person can read."""
    try:
        yield
    except OSError as error:
        raise ProviderError(
            f"This host could not read or write the machine's files: {error}.",
            hint="Look at the free space and the permissions of Le Bureau's data folder.",
        ) from error
