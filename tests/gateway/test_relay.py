import asyncio
import contextlib
import json
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psutil
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from lebureau_app.errors import LeBureauError
from lebureau_app.gateway.live import CloseCode, LiveSockets
from lebureau_app.gateway.relay import ProtocolViolation
from lebureau_app.gateway.terminal import admitted, relay_terminal
from lebureau_app.gateway.vnc import relay_vnc
from lebureau_app.guest.door import Door
from tests.gateway.servers import FULL_REQUEST, SECRET, RfbServer, door_for, served

INCREMENTAL = struct.pack(">BBHHHH", 3, 1, 0, 0, 64, 48)
KEY = struct.pack(">BBxxI", 4, 1, 0x61)


@dataclass
class Gateway:
    """An app with the two relay routes in front of one door."""

    url: str = ""
    viewing: bool = False
    sockets: LiveSockets = field(default_factory=LiveSockets)

    async def closed_within(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while True:
                if not len(self.sockets):
                    return
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def gateway_to(door: Door, patience: float = 10) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = FastAPI()

    @app.exception_handler(LeBureauError)
    async def refuse(websocket: WebSocket, error: LeBureauError):
        await websocket.send_denial_response(JSONResponse(error.body("r"), error.status))

    def registered(channel: str):
        return gateway.sockets.register(
            user_id="usr_1", session_id="ses_1", desktop_id="dsk_1", channel=channel
        )

    @app.websocket("/vnc")
    async def vnc(websocket: WebSocket):
        with registered("vnc") as live:
            await relay_vnc(
                websocket, door, view_only=lambda: gateway.viewing, live=live, patience=patience
            )

    @app.websocket("/terminal")
    async def terminal(websocket: WebSocket):
        with registered("terminal") as live:
            await relay_terminal(
                websocket, door, view_only=lambda: gateway.viewing, live=live, patience=patience
            )

    async with served(app) as url:
        gateway.url = url
        yield gateway


async def handshake(socket) -> None:
    await socket.send(b"RFB 003.")
    await socket.send(b"008\n\x01\x01")


async def close_code(socket) -> tuple[int, str]:
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


async def test_a_screen_through_the_relay_is_the_screen():
    rfb = RfbServer(pixel=b"\x01\x02\x03\x00")
    async with door_for(rfb) as door, gateway_to(door) as gateway:
        async with connect(
            f"{gateway.url}/vnc", subprotocols=[Subprotocol("binary")], proxy=None
        ) as socket:
            assert socket.subprotocol == "binary"
            assert socket.protocol.extensions == []
            await handshake(socket)
            await socket.send(FULL_REQUEST)
            received = b""
            async with asyncio.timeout(5):
                while rfb.update() not in received:
                    received += await socket.recv(decode=False)
    assert received.startswith(b"RFB 003.008\n\x01\x01\0\0\0\0")


async def test_view_mode_drops_input_in_the_proxy_and_lets_requests_through():
    rfb = RfbServer()
    async with door_for(rfb) as door, gateway_to(door) as gateway:
        gateway.viewing = True
        async with connect(f"{gateway.url}/vnc", proxy=None) as socket:
            assert socket.subprotocol is None
            await handshake(socket)
            await socket.send(KEY + FULL_REQUEST[:4])
            await socket.send(FULL_REQUEST[4:] + KEY * 3 + INCREMENTAL)
            await rfb.hears(INCREMENTAL)
            assert rfb.heard == b"RFB 003.008\n\x01\x01" + FULL_REQUEST + INCREMENTAL
            gateway.viewing = False
            await socket.send(KEY)
            await rfb.hears(KEY)


async def test_an_unknown_message_closes_with_its_reason():
    async with door_for(RfbServer()) as door, gateway_to(door) as gateway:
        async with connect(f"{gateway.url}/vnc", proxy=None) as socket:
            await handshake(socket)
            await socket.send(b"\x07")
            assert await close_code(socket) == (
                1008,
                "Le Bureau does not pass on RFB messages of type 7.",
            )


@pytest.mark.parametrize("path", ["vnc", "terminal"])
@pytest.mark.parametrize("code", [CloseCode.SIGNED_OUT, CloseCode.DESKTOP_GONE])
async def test_the_register_closes_within_two_seconds(path, code):
    async def patient(socket):
        await socket.wait_closed()

    async with door_for(patient) as door, gateway_to(door) as gateway:
        async with connect(f"{gateway.url}/{path}", proxy=None) as socket:
            began = time.monotonic()
            assert gateway.sockets.close(code, session_id="ses_1") == 1
            assert (await close_code(socket))[0] == code
            await gateway.closed_within(2)
            assert time.monotonic() - began < 2


async def test_a_door_that_is_shut_refuses_the_handshake():
    async with gateway_to(Door("127.0.0.1", 1, SECRET)) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{gateway.url}/vnc", proxy=None)
    assert refused.value.response.status_code == 409
    error = json.loads(refused.value.response.body)["error"]
    assert error["code"] == "not_ready"
    assert "cannot be reached" in error["message"]
    assert len(gateway.sockets) == 0


async def test_a_browser_that_vanishes_frees_the_guest():
    gone = asyncio.Event()

    async def patient(socket):
        await socket.wait_closed()
        gone.set()

    async with door_for(patient) as door, gateway_to(door) as gateway:
        socket = await connect(f"{gateway.url}/vnc", proxy=None)
        socket.transport.abort()
        await asyncio.wait_for(gone.wait(), 5)
        await gateway.closed_within(5)


@pytest.mark.parametrize(("guest_code", "expected"), [(1000, 1000), (1011, 1011)])
async def test_a_guest_that_ends_is_told_to_the_browser(guest_code, expected):
    async def leaves(socket):
        await socket.recv()
        await socket.close(guest_code)

    async with door_for(leaves) as door, gateway_to(door) as gateway:
        async with connect(f"{gateway.url}/terminal", proxy=None) as socket:
            await socket.send("{}")
            assert (await close_code(socket))[0] == expected


async def test_a_slow_browser_is_let_go_and_fills_no_memory():
    process = psutil.Process()
    sent = 0

    async def flood(socket):
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            while sent < 2_000:
                await socket.send(bytes(256 * 1024))
                sent += 1

    async with door_for(flood) as door, gateway_to(door, patience=0.5) as gateway:
        async with connect(f"{gateway.url}/vnc", proxy=None, max_queue=1, max_size=None) as socket:
            before = process.memory_info().rss
            await gateway.closed_within(10)
            assert process.memory_info().rss - before < 64 * 1024 * 1024
            assert sent < 200
            socket.transport.abort()


async def test_a_slow_browser_that_wakes_up_reads_why():
    async def flood(socket):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(bytes(256 * 1024))

    async with door_for(flood) as door, gateway_to(door, patience=0.3) as gateway:
        async with connect(f"{gateway.url}/vnc", proxy=None, max_queue=1, max_size=None) as socket:
            await asyncio.sleep(0.6)
            assert (await close_code(socket))[0] == CloseCode.TOO_SLOW


async def test_a_terminal_echoes_text_and_binary():
    heard = []
    paused = asyncio.Event()

    async def ttyd(socket):
        async for message in socket:
            heard.append(message)
            if message == b"2":
                paused.set()
            if message.startswith(b"0"):
                await socket.send(b"0echo " + message[1:])
                await socket.send("1title")

    async with door_for(ttyd) as door, gateway_to(door) as gateway:
        async with connect(
            f"{gateway.url}/terminal", subprotocols=[Subprotocol("tty")], proxy=None
        ) as socket:
            assert socket.subprotocol == "tty"
            await socket.send('{"AuthToken": "stolen", "columns": 100, "rows": 30}')
            await socket.send("0ls\r")
            assert await socket.recv() == b"0echo ls\r"
            assert await socket.recv() == b"1title"
            gateway.viewing = True
            await socket.send(b"0rm\r")
            await socket.send(b'1{"columns": 1, "rows": 1}')
            await socket.send(b"2")
            await asyncio.wait_for(paused.wait(), 5)
            gateway.viewing = False
            await socket.send(b"0pwd\r")
            assert await socket.recv() == b"0echo pwd\r"
    assert heard == [
        b'{"AuthToken": "", "columns": 100, "rows": 30}',
        b"0ls\r",
        b"2",
        b"0pwd\r",
    ]


@pytest.mark.parametrize(
    ("message", "control", "view"),
    [
        (b"0x", b"0x", b""),
        (b"1{}", b"1{}", b""),
        (b"2", b"2", b"2"),
        (b"3", b"3", b"3"),
        (b"", b"", b""),
        (b"9what", b"", b""),
    ],
)
def test_what_of_a_terminal_message_passes(message, control, view):
    assert admitted(message, view_only=False) == control
    assert admitted(message, view_only=True) == view


@pytest.mark.parametrize(
    ("hello", "columns", "rows"),
    [
        (b"{}", 80, 24),
        (b'{"columns": 0, "rows": 99999}', 1, 1000),
        (b'{"columns": "x", "rows": true}', 80, 24),
    ],
)
def test_a_hello_always_has_a_sensible_size(hello, columns, rows):
    passed = json.loads(admitted(hello, view_only=True))
    assert passed == {"AuthToken": "", "columns": columns, "rows": rows}


@pytest.mark.parametrize("hello", [b"{", b"{]", b'{"a":' + b"[" * 100_000])
def test_a_hello_that_is_no_json_ends_the_connection(hello):
    with pytest.raises(ProtocolViolation):
        admitted(hello, view_only=False)
