"""Makes a booted machine warm, so that those who resume its memory find everything done once.

What a desktop does for the first time is slow: OpenClaw starts, loads its plugins and compiles,
QEMU translates code that it has not met. A golden machine does all of it once, with throw-away
secrets and a model of its own, and forgets that it did.
"""

import asyncio
import contextlib
import itertools
import math
import secrets
import shlex
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import asyncssh

from lebureau_app.errors import GuestError
from lebureau_app.guest import agent_keys, inject, null_model, ssh
from lebureau_app.guest import screen as screens
from lebureau_app.guest.agent_keys import AgentKey
from lebureau_app.guest.device import Device
from lebureau_app.guest.door import Door, probe_terminal
from lebureau_app.guest.openclaw import OpenClaw
from lebureau_app.guest.runs import RunAborted, RunFailed, RunFinished
from lebureau_app.providers.base import Endpoint

_SECRET_BYTES = 32
_PROXY = ("10.0.2.100", "3128")
_MODEL_URL = "http://127.0.0.1:80/v1"
_PROGRAM = Path(null_model.__file__).read_text()
_KEY = AgentKey("openai-compatible", "golden", base_url=_MODEL_URL, model="golden")
_TURNS = ("Hello.", null_model.CALL, "Hello.")
"""What is said to the agent: the second has it use a tool."""

_GATEWAY_SECONDS = 1800
_RELOAD_SECONDS = 600
_ATTEMPTS = 3
_TURN_SECONDS = 600
_DRAWN_SECONDS = 300
_ASK_AGAIN = 2.0
_LOOK_SECONDS = 5.0
_IDLE_SHARE = 0.04
_IDLE_SECONDS = 60
_LESS = 0.8
_LOOKS_IN_VAIN = 2
_UNSEEDED = """
for exe in /proc/[0-9]*/exe; do
    pid=${exe%/exe}
    case $(readlink "$exe") in
    */node) [ -S "/run/lebureau/reseed/${pid#/proc/}" ] || tr '\\0' ' ' < "$pid/cmdline" ;;
    esac
done
"""
"""Names the Node processes that cannot be given random numbers of their own in a clone."""

_COLLECT = """
for socket in /run/lebureau/reseed/*; do
    sudo kill -s URG "${socket##*/}"
done
true
"""
"""Has every Node process collect its garbage, which each clone would do in its first turns."""

_HOLD = "echo 1 | sudo tee /sys/fs/cgroup/system.slice/lebureau-openclaw.service/cgroup.freeze"
"""Stops OpenClaw where it is: in a clone it goes on when the guest's tools let it (`apply`)."""

_FORGET = """
tmux kill-session -t main
sudo truncate --size 0 /tmp/openclaw/*.log
rm -f ~/.bash_history
rm -rf ~/work/* ~/work/.[!.]*
sync
true
"""


async def warm(
    connection: asyncssh.SSHClientConnection,
    *,
    screen: Endpoint,
    terminal: Endpoint,
    ca: str = "",
) -> AsyncGenerator[str | bytes, None]:
    """Use a golden machine that has just booted until it is warm, then remove every trace of it.

    The caller closes the connection afterwards, waits two seconds for the guest to notice, and
    keeps the machine (`Goldens.keep_golden`).

    Args:
        connection: From `ssh.connect`, to a machine that nobody else uses.
        screen: Where the guest's port 6080 is reached.
        terminal: Where the guest's port 7681 is reached.
        ca: Certificates that every desktop here trusts beyond the usual, PEM.

    Yields:
        What is being done now, a short sentence for a page; and once, what is on the screen of the
        warm desktop, as PNG.

    Raises:
        GuestError: Something in the guest did not work; the machine is not fit to be kept.
    """
    use = _Use(connection, ca)
    async with _null_model(connection):
        yield "Starting OpenClaw"
        await use.hand_over(_KEY)
        await use.until_live(_KEY)
        for number, text in enumerate(_TURNS, 1):
            yield f"Letting the agent answer ({number} of {len(_TURNS)})"
            await use.turn(text)
        yield "Waiting for the desktop to be drawn"
        drawn = await _until_drawn(Door(screen.host, screen.port, use.door))
        yield await asyncio.to_thread(screens.png, drawn)
        await probe_terminal(Door(terminal.host, terminal.port, use.door), timeout=60)
        yield "Removing every trace"
        await use.forget()
        await _insist_on_randomness(connection)
    yield "Waiting until the machine is idle"
    await _until_idle(connection)
    await ssh.run(connection, _COLLECT, timeout=60)
    await _until_idle(connection)
    await ssh.call(connection, _HOLD)


class _Use:
    """The use of one machine, with secrets that are good for nothing afterwards."""

    def __init__(self, connection: asyncssh.SSHClientConnection, ca: str) -> None:
        self._connection = connection
        self._ca = ca
        self._token = secrets.token_hex(_SECRET_BYTES)
        self._numbers = itertools.count(1)
        self._conversation = 1
        self.door = secrets.token_hex(_SECRET_BYTES)

    async def hand_over(self, *keys: AgentKey) -> None:
        """Bring keys into the guest, as a link does."""
        agent = {
            "keys": agent_keys.key_file(keys, self._token),
            "config": agent_keys.configuration(keys),
        }
        document = {"door": self.door, "ca": self._ca, "agent": agent}
        await inject.apply(self._connection, document)

    async def until_live(self, key: AgentKey) -> None:
        """Wait until OpenClaw has noticed that its configuration names another model."""
        deadline = time.monotonic() + _RELOAD_SECONDS
        while await self._model_provider() != key.provider:
            if time.monotonic() > deadline:
                raise GuestError(f"A golden machine's agent did not turn to {key.provider}.")
            await asyncio.sleep(_ASK_AGAIN)

    async def turn(self, text: str) -> None:
        """Have one message answered, at one of several attempts.

        Raises:
            GuestError: It was not answered.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._turn(text)
            except GuestError:
                self._conversation += 1
        await self._turn(text)

    async def _turn(self, text: str) -> None:
        """One attempt, over a connection of its own.

        They share a conversation as long as they succeed: OpenClaw takes half a minute to delete one.
        """
        run_id = f"golden-{next(self._numbers)}"
        async with await self._agent() as agent:
            await agent.send(f"agent:main:golden-{self._conversation}", text, run_id)
            async with asyncio.timeout(_TURN_SECONDS):
                async for event in agent.events():
                    match event:
                        case RunFinished(run_id=ended) if ended == run_id:
                            return
                        case RunFailed(run_id=ended, message=message) if ended == run_id:
                            raise GuestError(f"A golden machine's agent did not answer: {message}")
                        case RunAborted(run_id=ended) if ended == run_id:
                            raise GuestError("A golden machine's agent was stopped.")

    async def forget(self) -> None:
        """Remove conversations, keys, devices, logs and files."""
        async with await self._agent() as agent:
            await agent.forget_sessions()
        await self.hand_over()
        await ssh.run(self._connection, _FORGET, timeout=60)

    async def _model_provider(self) -> str:
        async with await self._agent() as agent:
            try:
                return await agent.model_provider()
            except GuestError:
                return ""

    async def _agent(self) -> OpenClaw:
        """Sign in as a new device, as often as it takes: a busy gateway ends slow handshakes."""
        deadline = time.monotonic() + _GATEWAY_SECONDS
        while True:
            device = Device(Device.generate())
            try:
                return await OpenClaw.connect(self._connection, token=self._token, device=device)
            except GuestError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_ASK_AGAIN)


@contextlib.asynccontextmanager
async def _null_model(connection: asyncssh.SSHClientConnection) -> AsyncIterator[None]:
    """Let a model of the guest's own answer for every host that the guest calls.

    Where the use of it fails nothing is taken back: such a machine is not kept.
    """
    program = shlex.quote(_PROGRAM)
    address = f"sudo ip address {{}} {_PROXY[0]}/32 dev lo"
    await ssh.call(connection, address.format("add"))
    command = f"exec python3 -c {program} {shlex.join(_PROXY)}"
    async with connection.create_process(command) as process:
        if not await asyncio.wait_for(process.stdout.readline(), 60):
            raise GuestError(f"The null model ended: {await process.stderr.read()}")
        yield
        process.stdin.write_eof()
    await ssh.call(connection, address.format("delete"))


async def _insist_on_randomness(connection: asyncssh.SSHClientConnection) -> None:
    if unseeded := (await ssh.call(connection, _UNSEEDED)).strip():
        raise GuestError(f"Clones would share the random numbers of {unseeded}.")


async def _until_drawn(door: Door) -> screens.Frame:
    """Wait until two looks at the screen, some seconds apart, show the same desktop: this one."""
    deadline = time.monotonic() + _DRAWN_SECONDS
    before = await screens.grab(door)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = await screens.grab(door)
        if not now.blank and now == before:
            return now
        if time.monotonic() > deadline:
            raise GuestError("The golden machine's desktop was not drawn.")
        before = now


async def _until_idle(connection: asyncssh.SSHClientConnection) -> None:
    """Wait until the guest's processors have next to nothing to do, or no less than before: an
    emulated one is busy with little."""
    deadline = time.monotonic() + _IDLE_SECONDS
    least, in_vain = math.inf, 0
    busy, total = await _ticks(connection)
    while in_vain < _LOOKS_IN_VAIN and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        busy_now, total_now = await _ticks(connection)
        if total_now == total:
            continue
        share = (busy_now - busy) / (total_now - total)
        if share < _IDLE_SHARE:
            return
        in_vain = 0 if share < _LESS * least else in_vain + 1
        least = min(least, share)
        busy, total = busy_now, total_now


async def _ticks(connection: asyncssh.SSHClientConnection) -> tuple[int, int]:
    """Ticks of all processors, busy ones and all (proc(5), /proc/stat)."""
    ticks = [int(part) for part in (await ssh.call(connection, "head -1 /proc/stat")).split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
