"""The QEMU of one machine: started, watched, asked and ended."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from qemu.qmp import QMPClient

from lebureau_app.errors import NotYet, ProviderError, UnknownMachine
from lebureau_app.providers.base import Machine, Origin, Power
from lebureau_app.providers.qemu import migration, processes, qmp
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.beginning import Beginning, KeptMemory, NotResumed
from lebureau_app.providers.qemu.command import GUEST_PORTS, compose
from lebureau_app.providers.qemu.files import host_boot
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.machine import Boot, Identity, MachineFolder

MONITOR_SECONDS = 3.0
START_SECONDS = 30.0
QUIT_SECONDS = 5.0
MAP_SECONDS = 30.0
LOAD_SECONDS = 300.0
START_ATTEMPTS = 5
ENDING_SECONDS = 0.5
"""What a QEMU that was just killed may need to let go of its disk: it frees its memory first."""

STOPPED_BY_US = "Stopped by Le Bureau."
GUEST_SHUT_DOWN = "The guest shut down."
HOST_RESTARTED = "The host was restarted."
INTERRUPTED = "Its start, or its hibernation, was interrupted."
_BROKEN_STATES = {
    "guest-panicked": "The guest's kernel panicked.",
    "internal-error": "QEMU met an internal error and halted the machine.",
    "io-error": "The machine was halted by a disk error; the host's disk may be full.",
}
_HALTED_STATES = {"inmigrate", "paused", "postmigrate", "prelaunch"}


class Hypervisor:
    """QEMU for one machine. The caller sees to it that one verb at a time is under way.

    Args:
        machine: The machine's folder and sockets.
        identity: Who it is, just read and proved.
    """

    def __init__(self, machine: MachineFolder, identity: Identity) -> None:
        self._machine = machine
        self._identity = identity

    async def observe(self) -> Machine:
        """What the machine is doing. A guest that has powered off is put away on the way."""
        boot = self._machine.boot()
        if boot is None:
            return self._view(Power.STOPPED, "It has not been started yet.")
        if boot.outcome is not None:
            return self._view(boot.outcome, boot.reason)
        return await self._follow(boot)

    async def start(
        self, image: Image, accelerator: Accelerator, beginning: Beginning, binary: str
    ) -> None:
        """Start QEMU, with other ports where somebody was faster, and once an earlier one has ended.

        With a memory to resume it waits until `resume` is called.

        Args:
            image: What the machine boots from.
            accelerator: How guests run here.
            beginning: What this boot begins from.
            binary: QEMU's system emulator.

        Raises:
            NotResumed: It did not start to resume a memory; its last words say why.
            ProviderError: It did not start to boot, likewise.
        """
        self._machine.make_run_folder()
        said = ""
        for _ in range(START_ATTEMPTS):
            boot = Boot(
                id=uuid4().hex,
                ports=_free_ports(),
                host_boot=host_boot(),
                origin=beginning.origin,
                note=beginning.note,
                settled=beginning.origin is Origin.BOOT,
            )
            said = await self._try_start(boot, image, accelerator, beginning, binary)
            if not said:
                return
            self._machine.write_boot(boot.ended(Power.FAILED, f"QEMU did not start: {said}"))
            if 'Failed to get "write" lock' in said:
                await asyncio.sleep(ENDING_SECONDS)
            elif "host forwarding rule" not in said:
                break
        if beginning.memory:
            raise NotResumed(f"QEMU did not start: {said}")
        raise ProviderError(f"QEMU did not start: {said}")

    async def resume(self, origin: Origin, memory: KeptMemory) -> None:
        """Load the memory into the QEMU that was started for it, and let the guest go on.

        The memory of a hibernated machine is taken out of use right before the guest goes on: who
        is killed earlier wakes it again, and who is killed later has lost power like any machine.

        Raises:
            NotResumed: QEMU did not take the memory, and has been ended; the memory is kept.
            NotYet: It has the memory, and does not answer any more.
        """
        try:
            limit = MAP_SECONDS if memory.pages else LOAD_SECONDS
            async with self._proved_monitor(limit) as monitor:
                await migration.load(monitor, memory)
                if origin is Origin.HIBERNATION:
                    await asyncio.to_thread(self._machine.use_hibernation)
                await monitor.execute("cont")
        except (migration.Failed, qmp.Absent, qmp.Silent) as error:
            if origin is Origin.HIBERNATION and not self._machine.is_hibernated():
                raise NotYet(f"QEMU has the memory, and does not answer: {error}") from error
            await self._give_up(error)
        except qmp.Stranger as error:
            raise UnknownMachine(str(error)) from error

    def settle(self) -> None:
        """Take note that the guest has its identity."""
        self._machine.drop_pending()
        if (boot := self._machine.boot()) and not boot.settled:
            self._machine.write_boot(replace(boot, settled=True))

    async def press_power_button(self) -> None:
        """Ask the guest to shut down."""
        self._mark_asked()
        async with self._conversation() as monitor:
            await monitor.execute("system_powerdown")

    async def pull_the_plug(self) -> None:
        """End the machine because Le Bureau wants it."""
        self._mark_asked()
        await self.end()
        if boot := self._machine.boot():
            self._machine.write_boot(boot.ended(Power.STOPPED, STOPPED_BY_US))

    async def reset(self) -> None:
        """Press the reset button: a new boot in the same process."""
        async with self._conversation() as monitor:
            await monitor.execute("system_reset")
        if boot := self._machine.boot():
            again = {"origin": Origin.BOOT, "note": "", "settled": True}
            self._machine.write_boot(replace(boot, id=uuid4().hex, asked=False, **again))

    async def end(self) -> None:
        """End QEMU: by its monitor, or else by killing the process that provably is this machine.

        Raises:
            UnknownMachine: Another machine answers on the monitor's socket.
            NotYet: The process is still there.
        """
        uuid = self._identity.uuid
        try:
            async with self._proved_monitor(MONITOR_SECONDS) as monitor:
                await qmp.quit_now(monitor)
            gone = await asyncio.to_thread(processes.wait_gone, uuid, QUIT_SECONDS)
        except (qmp.Absent, qmp.Silent):
            gone = False
        except qmp.Stranger as error:
            raise UnknownMachine(str(error)) from error
        if not gone and not await asyncio.to_thread(processes.kill, uuid):
            raise NotYet("QEMU has been killed and is still there.")
        self._machine.remove_sockets()
        await asyncio.to_thread(self._machine.forget_used_hibernation)

    async def _try_start(
        self,
        boot: Boot,
        image: Image,
        accelerator: Accelerator,
        beginning: Beginning,
        binary: str,
    ) -> str:
        """Start QEMU once and wait until its monitor says that it is this machine.

        Returns:
            Nothing when it runs, else what it said.
        """
        machine = self._machine
        with _listening(machine.monitor) as monitor:
            command = compose(
                machine,
                self._identity,
                image,
                boot,
                accelerator,
                beginning,
                binary=binary,
                socat=shutil.which("socat") or "/usr/bin/socat",
                monitor_fd=monitor.fileno(),
            )
            machine.write_boot(boot)
            machine.head_log(boot)
            await asyncio.to_thread(processes.spawn, command, machine.log, monitor.fileno())
        try:
            async with self._proved_monitor(START_SECONDS):
                return ""
        except (qmp.Absent, qmp.Silent, qmp.Stranger) as error:
            await self.end()
            return machine.last_words(boot) or str(error)

    async def _follow(self, boot: Boot) -> Machine:
        """What the machine does in a boot that was under way when it was last seen."""
        try:
            async with self._proved_monitor(MONITOR_SECONDS) as monitor:
                state = str((await qmp.told(monitor, "query-status")).get("status", ""))
                if state in _HALTED_STATES and not self._machine.waits():
                    await monitor.execute("cont")
        except qmp.Stranger as error:
            return self._view(Power.UNKNOWN, str(error), boot.id)
        except (qmp.Absent, qmp.Silent) as error:
            if await asyncio.to_thread(processes.is_alive, self._identity.uuid):
                return self._view(Power.UNKNOWN, f"QEMU does not answer: {error}", boot.id)
            await asyncio.to_thread(self._machine.forget_used_hibernation)
            return self._conclude(*self._post_mortem(boot))
        if state in _HALTED_STATES and self._machine.waits():
            await self.end()
            return self._conclude(Power.STOPPED, INTERRUPTED)
        if state == "shutdown":
            await self.end()
            return self._conclude(Power.STOPPED, STOPPED_BY_US if boot.asked else GUEST_SHUT_DOWN)
        if state in _BROKEN_STATES:
            return self._conclude(Power.FAILED, _BROKEN_STATES[state])
        return replace(
            self._view(Power.RUNNING, boot=boot.id),
            origin=boot.origin,
            note=boot.note,
            settled=boot.settled,
        )

    async def _give_up(self, error: Exception) -> NoReturn:
        """End a QEMU that could not go on with a memory."""
        await self.end()
        boot = self._machine.boot()
        said = (boot and self._machine.last_words(boot)) or str(error)
        self._conclude(Power.STOPPED, f"Its memory could not be resumed: {said}")
        raise NotResumed(said) from error

    def _post_mortem(self, boot: Boot) -> tuple[Power, str]:
        """How a boot ended whose process is gone."""
        if boot.asked:
            return Power.STOPPED, STOPPED_BY_US
        if boot.host_boot != host_boot():
            return Power.STOPPED, HOST_RESTARTED
        reason = "The machine's process ended by itself: it was killed or has crashed."
        if last_words := self._machine.last_words(boot):
            reason += f" Its last words: {last_words}"
        return Power.FAILED, reason

    def _conclude(self, outcome: Power, reason: str) -> Machine:
        if boot := self._machine.boot():
            self._machine.write_boot(boot.ended(outcome, reason))
        return self._view(outcome, reason)

    def _mark_asked(self) -> None:
        if boot := self._machine.boot():
            self._machine.write_boot(replace(boot, asked=True))

    def _view(self, power: Power, reason: str = "", boot: str = "") -> Machine:
        if power in (Power.STOPPED, Power.FAILED) and self._machine.is_hibernated():
            power = Power.HIBERNATED
        return Machine(self._identity.desktop_id, self._identity.uuid, power, reason, boot)

    def _proved_monitor(self, timeout: float) -> AbstractAsyncContextManager[QMPClient]:
        return qmp.conversation(
            self._machine.monitor, self._identity.desktop_id, self._identity.uuid, timeout
        )

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[QMPClient]:
        """Speak with the monitor; its troubles become errors of the provider."""
        try:
            async with self._proved_monitor(MONITOR_SECONDS) as monitor:
                yield monitor
        except (qmp.Absent, qmp.Silent) as error:
            raise NotYet(f"QEMU does not answer: {error}") from error
        except qmp.Stranger as error:
            raise UnknownMachine(str(error)) from error


def _listening(path: Path) -> socket.socket:
    """A listening socket for QEMU to inherit: who connects now is served as soon as QEMU is up."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chmod(path, 0o600)
    listener.listen(8)
    return listener


def _free_ports() -> dict[int, int]:
    """A free port of the loopback for each port of the guest, as far as can be known now."""
    probes = {guest: socket.socket() for guest in GUEST_PORTS}
    try:
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {guest: probe.getsockname()[1] for guest, probe in probes.items()}
    finally:
        for probe in probes.values():
            probe.close()
