"""Hands for a machine with the `NOTEBOOK` guest: keys in, letters out."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from qemu.qmp import QMPClient

from lebureau_app.providers.qemu import qmp
from lebureau_app.providers.qemu.machine import MachineFolder
from tests.support.eventually import eventually

PATIENCE = 60
"""Seconds until a guest must have answered."""

LETTER = 0x7E01
"""Where the guest keeps its letter: zero until it has booted, and it listens from then on."""

STROKE = 5
"""Milliseconds for which a key is held; the next one waits for its end."""


@dataclass(frozen=True)
class Letters:
    """The letter in the guest's memory and the one on its disk; `-` where there is none."""

    memory: str
    disk: str


class Notebook:
    """One machine.

    Args:
        machine: Its folder. It runs.
    """

    def __init__(self, machine: MachineFolder) -> None:
        self._machine = machine

    async def read(self) -> Letters:
        """What it knows."""
        return await self.press("r")

    async def note(self, memory: str, disk: str = "") -> None:
        """Let it keep a letter in memory and, after that, another one on disk."""
        if disk:
            await self.press(disk)
            await self.press("w")
        assert (await self.press(memory)).memory == memory

    async def press(self, key: str) -> Letters:
        """Press a key, again if nobody listens yet, and hear the answer."""
        before = len(await self._said())

        async def answer() -> re.Match[str] | None:
            return re.search(r"<(.)(.)>", (await self._said())[before:])

        for _ in range(PATIENCE):
            await self._send(key)
            with suppress(TimeoutError):
                heard = await eventually(answer, seconds=1)
                return Letters(heard[1], heard[2])
        raise AssertionError("The guest does not answer.")

    async def _send(self, key: str) -> None:
        identity = self._machine.identity()
        async with qmp.conversation(
            self._machine.monitor, identity.desktop_id, identity.uuid, PATIENCE
        ) as monitor:
            await eventually(lambda: _listens(monitor), PATIENCE)
            stroke = {"keys": [{"type": "qcode", "data": key}], "hold-time": STROKE}
            await monitor.execute("send-key", stroke)

    async def _said(self) -> str:
        return await asyncio.to_thread(self._machine.serial_log.read_text)


async def _listens(monitor: QMPClient) -> bool:
    """Whether the guest has booted, by the letter in its memory."""
    look = {"command-line": f"xp /1xb {LETTER:#x}"}
    return int(str(await monitor.execute("human-monitor-command", look)).split()[-1], 16) > 0
