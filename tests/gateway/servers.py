"""Real servers on loopback that stand for the other side: doors, browsers' server, destinations."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI
from websockets.asyncio.server import Server, ServerConnection, serve

from lebureau_app.guest.door import Door

SECRET = "s3cret-of-the-door"
WIDTH, HEIGHT = 64, 48
FULL_REQUEST = struct.pack(">BBHHHH", 3, 0, 0, 0, WIDTH, HEIGHT)


@contextlib.asynccontextmanager
async def door_for(
    handler: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[Door]:
    """A guest's door on loopback: asks for the secret, then hands over to `handler`."""

    def check(connection: ServerConnection, request):
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            return connection.respond(401, "no\n")
        return None

    async with serve(
        handler,
        "127.0.0.1",
        0,
        process_request=check,
        select_subprotocol=lambda _, offered: offered[0] if offered else None,
        compression=None,
        max_size=None,
    ) as server:
        yield Door("127.0.0.1", port_of(server), SECRET)


def port_of(server: Server | asyncio.Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app under uvicorn as the product runs it; yields `ws://…`."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listening.close()


@dataclass
class RfbServer:
    """A VNC server with one picture; keeps all that the client says."""

    pixel: bytes = b"\x10\x20\x30\x00"
    heard: bytearray = field(default_factory=bytearray)
    new_bytes: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.send(b"RFB 003.008\n")
        await self._hear(socket, 12)
        await socket.send(b"\x01\x01")
        await self._hear(socket, 13)
        await socket.send(b"\0\0\0\0")
        await self._hear(socket, 14)
        pixel_format = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        name = b"desktop"
        await socket.send(
            struct.pack(">HH", WIDTH, HEIGHT) + pixel_format + struct.pack(">I", len(name)) + name
        )
        answered = 0
        while True:
            if self.heard.count(FULL_REQUEST) > answered:
                answered += 1
                await socket.send(b"\x02" + b"\x03\0\0\0" + struct.pack(">I", 3) + b"cut")
                await socket.send(self.update())
            await self._hear(socket, len(self.heard) + 1)

    async def _hear(self, socket: ServerConnection, least: int) -> None:
        while len(self.heard) < least:
            message = await socket.recv()
            assert isinstance(message, bytes)
            self.heard += message
            self.new_bytes.set()

    def update(self) -> bytes:
        """One update in two rectangles."""
        half = HEIGHT // 2
        rectangles = b"".join(
            struct.pack(">HHHHi", 0, top, WIDTH, half, 0) + self.pixel * (WIDTH * half)
            for top in (0, half)
        )
        return struct.pack(">BxH", 0, 2) + rectangles

    async def hears(self, wanted: bytes) -> None:
        """Wait until the client has said this."""
        async with asyncio.timeout(5):
            while wanted not in self.heard:
                self.new_bytes.clear()
                await self.new_bytes.wait()
