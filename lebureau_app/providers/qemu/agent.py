"""The guest agent's protocol (docs/interop/qemu-ga.rst in QEMU's source), as far as it is needed.

The channel is a serial line: there may be rubbish from an earlier client in it, and nobody at the
other end. So each conversation starts with `guest-sync-delimited` and is bounded in time.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from lebureau_app.errors import NotYet
from lebureau_app.providers.base import GuestAnswer

DELIMITER = b"\xff"
MAX_FILE = 1 << 20
_CHUNK = 48 << 10
_LINE_LIMIT = 1 << 20
_ASK_AGAIN = 0.05


class Agent:
    """One synchronised conversation with a guest agent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def synchronise(self) -> None:
        """Skip whatever is still in the line (`guest-sync-delimited`)."""
        mark = secrets.randbits(31)
        self._writer.write(DELIMITER)
        await self._send("guest-sync-delimited", id=mark)
        while True:
            await self._skip_to_delimiter()
            with suppress(ValueError):
                if (await self._receive()).get("return") == mark:
                    return

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Carry out a command.

        Args:
            command: Its name, such as `guest-ping`.
            arguments: Its arguments, with `_` for `-` in their names.

        Returns:
            What the agent returned.

        Raises:
            NotYet: The agent refused, or its answer cannot be understood.
        """
        await self._send(command, **arguments)
        try:
            answer = await self._receive()
        except ValueError as error:
            raise NotYet("The guest agent's answer cannot be understood.") from error
        if "error" in answer:
            raise NotYet(f"The guest agent refused: {answer['error'].get('desc', 'no reason')}.")
        return answer.get("return")

    async def read_file(self, path: str) -> bytes:
        """A file of the guest, of a megabyte at most.

        Raises:
            NotYet: The file cannot be read, or is larger.
        """
        handle = await self.execute("guest-file-open", path=path, mode="r")
        content = bytearray()
        try:
            while len(content) <= MAX_FILE:
                part = await self.execute("guest-file-read", handle=handle, count=_CHUNK)
                content += base64.b64decode(part["buf-b64"])
                if part["eof"]:
                    return bytes(content)
        finally:
            await self.execute("guest-file-close", handle=handle)
        raise NotYet(f"{path} in the desktop is larger than a megabyte.")

    async def run(self, command: Sequence[str], stdin: bytes = b"") -> GuestAnswer:
        """Run a command as root and wait for its end (`guest-exec`, `guest-exec-status`).

        Args:
            command: Program and arguments.
            stdin: What it reads.

        Raises:
            NotYet: The agent refused.
        """
        started = await self.execute(
            "guest-exec",
            path=command[0],
            arg=list(command[1:]),
            input_data=base64.b64encode(stdin).decode(),
            capture_output=True,
        )
        while True:
            told = await self.execute("guest-exec-status", pid=started["pid"])
            if told["exited"]:
                return GuestAnswer(
                    exit_code=told.get("exitcode", -1),
                    stdout=base64.b64decode(told.get("out-data", "")),
                    stderr=base64.b64decode(told.get("err-data", "")),
                )
            await asyncio.sleep(_ASK_AGAIN)

    async def _skip_to_delimiter(self) -> None:
        while await self._reader.readexactly(1) != DELIMITER:
            pass

    async def _send(self, command: str, **arguments: Any) -> None:
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): arguments[key] for key in arguments}
        self._writer.write(json.dumps(request).encode() + b"\n")
        await self._writer.drain()

    async def _receive(self) -> dict[str, Any]:
        answer = json.loads(await self._reader.readuntil(b"\n"))
        if not isinstance(answer, dict):
            raise ValueError("not an object")
        return answer


@asynccontextmanager
async def conversation(socket: Path, timeout: float) -> AsyncIterator[Agent]:
    """Speak with the guest agent behind a socket.

    Args:
        socket: QEMU's Unix socket of the agent's channel.
        timeout: Seconds for the whole conversation.

    Raises:
        NotYet: Nobody answers (in time).
    """
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LINE_LIMIT)
            try:
                agent = Agent(reader, writer)
                await agent.synchronise()
                yield agent
            finally:
                writer.close()
    except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise NotYet("The desktop's guest agent does not answer yet.") from error
