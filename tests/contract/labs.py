"""The providers under contract, each in a lab with hands to do what the contract does not offer."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from dataclasses import replace

import pytest

from lebureau_app.errors import UnknownMachine
from lebureau_app.providers.base import Machine, MachineSpec, Power
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.providers.fake_machine import Contents
from lebureau_app.providers.qemu import memory, processes
from lebureau_app.providers.qemu.machine import MachineFolder, machine_folders
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.support.eventually import eventually
from tests.support.notebook import Letters, Notebook

DESKTOP = "dsk_01J00000000000000000000000"
OTHER = "dsk_01J00000000000000000000001"
MIB = 1 << 20


def spec(
    desktop_id: str = DESKTOP, memory: int = 64 * MIB, snapshot: str = "", golden: bool = False
) -> MachineSpec:
    return MachineSpec(
        desktop_id=desktop_id,
        name="atlas",
        image="tiny",
        vcpus=1,
        memory=memory,
        disk=64 * MIB,
        authorized_key="ssh-ed25519 AAAAC3Nza test",
        snapshot=snapshot,
        golden=golden,
    )


class Lab(ABC):
    """A provider, and hands to do to its machines what the contract does not offer."""

    provider: FakeProvider | QemuProvider

    async def running(self, desktop_id: str = DESKTOP) -> str:
        """A machine that has been created and started; its identity."""
        ref = await self.provider.create(spec(desktop_id))
        await self.provider.start(desktop_id, ref)
        return ref

    async def seen(self, ref: str, desktop_id: str = DESKTOP) -> Machine:
        machine = await self.provider.inspect(desktop_id, ref)
        assert machine is not None
        return machine

    async def becomes(self, power: Power, ref: str, desktop_id: str = DESKTOP) -> Machine:
        async def look() -> Machine | None:
            machine = await self.seen(ref, desktop_id)
            return machine if machine.power is power else None

        return await eventually(look)

    @abstractmethod
    async def up(self, desktop_id: str = DESKTOP) -> None:
        """Wait until guest code runs."""

    @abstractmethod
    async def note(self, memory: str, disk: str, desktop_id: str = DESKTOP) -> None:
        """Leave a letter in the running machine's memory and one on its disk."""

    @abstractmethod
    async def read(self, desktop_id: str = DESKTOP) -> Letters:
        """Both letters, as the running machine has them."""

    @abstractmethod
    async def server_restart(self) -> None:
        """Let go of the provider and make another one."""

    @abstractmethod
    async def crash(self, ref: str) -> None:
        """Kill the machine from outside."""

    @abstractmethod
    async def guest_shuts_down(self, ref: str) -> None:
        """Let the guest switch itself off."""

    @abstractmethod
    def tamper(self) -> None:
        """Put another machine in the place of the desktop's."""

    @abstractmethod
    def traces(self, ref: str) -> list[str]:
        """Whatever is left of the machine."""

    @abstractmethod
    def disk_size(self) -> int:
        """Bytes of disk that the machine's guest sees."""

    @abstractmethod
    def image(self) -> str:
        """Id of the golden image that the machine is made of."""

    @abstractmethod
    def fill_disk(self) -> None:
        """Let the host's disk be full from now on."""

    @abstractmethod
    async def clean(self) -> None:
        """Leave nothing running."""


class FakeLab(Lab):
    def __init__(self) -> None:
        self.provider = self.fake = FakeProvider()

    async def up(self, desktop_id: str = DESKTOP) -> None:
        assert self.fake.machines[desktop_id].power is Power.RUNNING

    async def note(self, memory: str, disk: str, desktop_id: str = DESKTOP) -> None:
        self.fake.machines[desktop_id].contents = Contents(disk, memory)

    async def read(self, desktop_id: str = DESKTOP) -> Letters:
        contents = self.fake.machines[desktop_id].contents
        return Letters(contents.memory or "-", contents.disk or "-")

    async def server_restart(self) -> None:
        await self.provider.close()
        await self.provider.open()

    async def crash(self, ref: str) -> None:
        self.fake.die(DESKTOP)

    async def guest_shuts_down(self, ref: str) -> None:
        self.fake.shut_down(DESKTOP)

    def tamper(self) -> None:
        self.fake.machines[DESKTOP].ref = "somebody-else"

    def traces(self, ref: str) -> list[str]:
        return list(self.fake.machines)

    def disk_size(self) -> int:
        return self.fake.machines[DESKTOP].spec.disk

    def image(self) -> str:
        return self.fake.machines[DESKTOP].spec.image

    def fill_disk(self) -> None:
        self.fake.behaviour = replace(self.fake.behaviour, full=True)

    async def clean(self) -> None:
        self.fake.machines.clear()


class QemuLab(Lab):
    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.provider = QemuProvider(settings)
        self._monkeypatch = monkeypatch
        self._forged: list[str] = []

    async def up(self, desktop_id: str = DESKTOP) -> None:
        console = self.settings.desktops_dir / desktop_id / "serial.log"

        async def look() -> bool:
            return b"U" in await asyncio.to_thread(console.read_bytes)

        await eventually(look, seconds=60)

    async def note(self, memory: str, disk: str, desktop_id: str = DESKTOP) -> None:
        await Notebook(MachineFolder(self.settings, desktop_id)).note(memory, disk)

    async def read(self, desktop_id: str = DESKTOP) -> Letters:
        return await Notebook(MachineFolder(self.settings, desktop_id)).read()

    async def server_restart(self) -> None:
        await self.provider.close()
        self.provider = QemuProvider(self.settings)
        await self.provider.open()

    async def crash(self, ref: str) -> None:
        os.kill(processes.by_uuid()[ref], signal.SIGKILL)
        await asyncio.to_thread(processes.wait_gone, ref, 10)

    async def guest_shuts_down(self, ref: str) -> None:
        await self.up()
        monitor = socket.socket(socket.AF_UNIX)
        with monitor:
            monitor.connect(str(self.settings.run_dir / DESKTOP / "qmp"))
            monitor.recv(4096)
            monitor.sendall(b'{"execute": "qmp_capabilities"}{"execute": "system_powerdown"}')
            answer = b""
            while b"POWERDOWN" not in answer:
                answer += await asyncio.to_thread(monitor.recv, 4096)

    def tamper(self) -> None:
        path = self.settings.desktops_dir / DESKTOP / "spec.json"
        kept = json.loads(path.read_text())
        self._forged.append(kept["uuid"])
        path.write_text(json.dumps(kept | {"uuid": "11111111-2222-3333-4444-555555555555"}))

    def traces(self, ref: str) -> list[str]:
        folders = (self.settings.desktops_dir, self.settings.run_dir)
        files = [str(path) for folder in folders for path in folder.rglob("*")]
        return files + [str(pid) for uuid, pid in processes.by_uuid().items() if uuid == ref]

    def disk_size(self) -> int:
        disk = self.settings.desktops_dir / DESKTOP / "disk.qcow2"
        told = subprocess.check_output(["qemu-img", "info", "-U", "--output=json", disk])
        return json.loads(told)["virtual-size"]

    def image(self) -> str:
        return MachineFolder(self.settings, DESKTOP).identity().image

    def fill_disk(self) -> None:
        self._monkeypatch.setattr(memory, "MARGIN", 1 << 60)

    async def clean(self) -> None:
        await self.provider.close()
        for machine in machine_folders(self.settings):
            with contextlib.suppress(UnknownMachine):
                await asyncio.to_thread(processes.kill, machine.identity().uuid)
        for ref in self._forged:
            await asyncio.to_thread(processes.kill, ref)
