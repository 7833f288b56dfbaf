"""The guarded way to a desktop's screen and terminal.

Both listen only once there is a secret, and ask every connection for it
(``Authorization: Bearer``). The screen is a WebSocket in front of the VNC server's socket;
the terminal hands the request on to ttyd.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lebureau_guest import websocket
from lebureau_guest.http import MAX_HEAD_BYTES, BadRequest, Request, read_request, refusal
from lebureau_guest.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - guarded by the secret
SCREEN_PORT = 6080
TERMINAL_PORT = 7681
CHUNK = 64 * 1024

Serve = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Door:
    """Where the secret is, and what is behind the door.

    Args:
        secret: File with the secret; read anew for each connection.
        screen: Unix socket of the VNC server.
        terminal: Unix socket of ttyd.
    """

    secret: Path = Path("/run/lebureau/door.secret")
    screen: Path = Path("/run/user/1000/vnc.sock")
    terminal: Path = Path("/run/user/1000/ttyd.sock")

    async def listen(
        self, host: str, screen_port: int, terminal_port: int
    ) -> tuple[asyncio.Server, asyncio.Server]:
        """Listen for both; port 0 takes any free one."""
        return (
            await asyncio.start_server(
                self._guard(self._serve_screen), host, screen_port, limit=MAX_HEAD_BYTES
            ),
            await asyncio.start_server(
                self._guard(self._serve_terminal), host, terminal_port, limit=MAX_HEAD_BYTES
            ),
        )

    def admits(self, request: Request) -> bool:
        """Tell whether a request carries the secret."""
        try:
            secret = self.secret.read_bytes().strip()
        except OSError:
            return False
        scheme, _, token = request.field("authorization").partition(" ")
        right = hmac.compare_digest(token.strip().encode("latin-1"), secret)
        return bool(secret) and scheme.lower() == "bearer" and right

    def _guard(
        self, serve: Serve
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                request = await read_request(reader)
                if self.admits(request):
                    await serve(request, reader, writer)
                else:
                    writer.write(refusal("401 Unauthorized", "WWW-Authenticate: Bearer"))
            except BadRequest:
                writer.write(refusal("400 Bad Request"))
            except websocket.ProtocolError:
                writer.write(refusal("426 Upgrade Required", "Upgrade: websocket"))
            except (ConnectionError, FileNotFoundError):
                writer.write(refusal("503 Service Unavailable", "Retry-After: 1"))
            finally:
                with suppress(OSError):
                    await writer.drain()
                writer.close()

        return guarded

    async def _serve_terminal(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self.terminal)
        inner_writer.write(request.without("authorization"))
        await _until_one_ends(
            inner_writer, _copy(reader, inner_writer), _copy(inner_reader, writer)
        )

    async def _serve_screen(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        upgrade = websocket.accept(request)
        inner_reader, inner_writer = await asyncio.open_unix_connection(self.screen)
        writer.write(upgrade)
        await _until_one_ends(
            inner_writer, _unwrap(reader, writer, inner_writer), _wrap(inner_reader, writer)
        )


async def _until_one_ends(inner: asyncio.StreamWriter, *directions: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        inner.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def _wrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(websocket.encode(BINARY, data))
        await writer.drain()
    writer.write(websocket.encode(CLOSE, b""))


async def _unwrap(
    reader: asyncio.StreamReader, answer: asyncio.StreamWriter, writer: asyncio.StreamWriter
) -> None:
    while True:
        opcode, payload = await websocket.read_frame(reader)
        if opcode in (BINARY, TEXT, CONTINUATION):
            writer.write(payload)
            await writer.drain()
        elif opcode == PING:
            answer.write(websocket.encode(PONG, payload))
        elif opcode == CLOSE:
            answer.write(websocket.encode(CLOSE, payload[:2]))
            return


async def serve_forever() -> None:
    """Listen on every address of the desktop until the process is ended."""
    screen, terminal = await Door().listen(EVERY_ADDRESS, SCREEN_PORT, TERMINAL_PORT)
    await asyncio.gather(screen.serve_forever(), terminal.serve_forever())


def main() -> int:
    """Serve until ended; return the exit code."""
    if sys.argv[1:]:
        print("Usage: lebureau-door", file=sys.stderr)
        return 2
    asyncio.run(serve_forever())
    return 0
