import asyncio
import base64
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lebureau_app.errors import NotYet
from lebureau_app.providers.qemu import agent

FILES = {"/etc/hostname": b"atlas\n", "/big": bytes(range(256)) * 1024, "/huge": bytes(3 << 20)}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class GuestAgent:
    """A guest agent that behaves like the real one, but for what a test spoils."""

    def __init__(self, rubbish: bytes = b"", piece: int = 1 << 20) -> None:
        self.rubbish, self.piece = rubbish, piece
        self.open: dict[int, bytearray] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.write(writer, self.rubbish)
        while line := await reader.readline():
            request = json.loads(line.lstrip(agent.DELIMITER))
            prefix = agent.DELIMITER if request["execute"] == "guest-sync-delimited" else b""
            answer = self.answer(request["execute"], request.get("arguments", {}))
            await self.write(writer, prefix + json.dumps(answer).encode() + b"\n")
        writer.close()

    async def write(self, writer: asyncio.StreamWriter, text: bytes) -> None:
        for at in range(0, len(text), self.piece):
            writer.write(text[at : at + self.piece])
            await writer.drain()
            await asyncio.sleep(0)

    def answer(self, command: str, arguments: dict) -> dict:
        match command:
            case "guest-sync-delimited":
                return {"return": arguments["id"]}
            case "guest-ping":
                return {"return": {}}
            case "guest-file-open" if arguments["path"] in FILES:
                self.open[1000] = bytearray(FILES[arguments["path"]])
                return {"return": 1000}
            case "guest-file-open":
                return {"error": {"class": "GenericError", "desc": "No such file or directory"}}
            case "guest-file-read":
                rest = self.open[arguments["handle"]]
                part, rest[:] = bytes(rest[: arguments["count"]]), rest[arguments["count"] :]
                encoded = base64.b64encode(part).decode()
                return {"return": {"count": len(part), "buf-b64": encoded, "eof": not rest}}
            case "guest-file-close":
                del self.open[arguments["handle"]]
                return {"return": {}}
        return {"error": {"class": "CommandNotFound", "desc": "unknown"}}


@asynccontextmanager
async def listening(handler: Handler):
    with tempfile.TemporaryDirectory(prefix="qga-") as folder:
        path = Path(folder) / "agent"
        server = await asyncio.start_unix_server(handler, str(path))
        try:
            yield path
        finally:
            server.close()


@pytest.mark.parametrize("path", ["/etc/hostname", "/big"])
async def test_a_file_is_read_and_closed(path):
    guest = GuestAgent()
    async with listening(guest.serve) as socket, agent.conversation(socket, 10) as asked:
        assert await asked.read_file(path) == FILES[path]
    assert guest.open == {}


@pytest.mark.parametrize(
    "rubbish",
    [
        b'{"return": {}}\n',
        b'\xff{"return": 7}\n',
        b"\xffnot json\n",
        b'\xff{"return": 1}\nhalf a li',
        b"\x00\x01" * 50_000,
    ],
    ids=["late answer", "another sync", "not json", "half a line", "noise"],
)
async def test_what_an_earlier_client_left_in_the_line_is_skipped(rubbish):
    guest = GuestAgent(rubbish)
    async with listening(guest.serve) as socket, agent.conversation(socket, 10) as asked:
        assert await asked.execute("guest-ping") == {}


async def test_answers_may_come_in_pieces():
    guest = GuestAgent(b"rubbish", piece=1)
    async with listening(guest.serve) as socket, agent.conversation(socket, 10) as asked:
        assert await asked.read_file("/etc/hostname") == FILES["/etc/hostname"]


async def test_a_file_that_is_not_there_yet():
    async with listening(GuestAgent().serve) as socket, agent.conversation(socket, 10) as asked:
        with pytest.raises(NotYet, match="No such file"):
            await asked.read_file("/etc/ssh/key.pub")


async def test_a_file_that_is_too_large():
    guest = GuestAgent()
    async with listening(guest.serve) as socket, agent.conversation(socket, 10) as asked:
        with pytest.raises(NotYet, match="larger"):
            await asked.read_file("/huge")
    assert guest.open == {}


async def test_an_agent_that_hangs_is_given_up():
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    begun = time.monotonic()
    async with listening(hang) as socket:
        with pytest.raises(NotYet, match="does not answer"):
            async with agent.conversation(socket, 0.1):
                pytest.fail("nobody is there")
    assert time.monotonic() - begun < 5


async def test_an_agent_that_goes_away():
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with listening(leave) as socket:
        with pytest.raises(NotYet):
            async with agent.conversation(socket, 10):
                pytest.fail("nobody is there")


async def test_no_socket_at_all(tmp_path: Path):
    with pytest.raises(NotYet):
        async with agent.conversation(tmp_path / "none", 1):
            pytest.fail("nobody is there")
