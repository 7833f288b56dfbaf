import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from lebureau_guest.door import Door
from lebureau_guest.websocket import BINARY, encode, unmask

SECRET = "5e" * 32
GREETING = b"RFB 003.008\n"


@dataclass
class Ports:
    door: Door
    screen: int
    terminal: int


async def greet_and_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def show_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + head)
    writer.close()


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    secret, screen, terminal = (tmp_path / name for name in ("secret", "screen", "terminal"))
    secret.write_text(SECRET + "\n")
    door = Door(secret, screen, terminal)
    inner = [
        await asyncio.start_unix_server(greet_and_echo, screen),
        await asyncio.start_unix_server(show_request, terminal),
    ]
    outer = await door.listen("127.0.0.1", 0, 0)
    yield Ports(door, *(server.sockets[0].getsockname()[1] for server in outer))
    for server in (*outer, *inner):
        server.close()


async def ask(port: int, *fields: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join(["GET /ws HTTP/1.1", "Host: x", *fields, "", ""]).encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def connect(port: int) -> websockets.connect:
    return websockets.connect(
        f"ws://127.0.0.1:{port}/",
        additional_headers={"Authorization": f"Bearer {SECRET}"},
        subprotocols=[websockets.Subprotocol("binary")],
        proxy=None,
    )


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["Authorization: Bearer wrong"],
        [f"Authorization: Basic {SECRET}"],
        [f"Authorization: {SECRET}"],
        ["Authorization: Bearer "],
        [f"Cookie: {SECRET}"],
    ],
)
async def test_without_the_secret_both_doors_stay_shut(ports: Ports, fields: list[str]) -> None:
    for port in (ports.screen, ports.terminal):
        assert (await ask(port, *fields)).startswith(b"HTTP/1.1 401 ")


async def test_no_secret_file_or_an_empty_one_admits_nobody(ports: Ports) -> None:
    ports.door.secret.write_text("")
    assert b" 401 " in await ask(ports.terminal, "Authorization: Bearer ")
    ports.door.secret.unlink()
    assert b" 401 " in await ask(ports.terminal, f"Authorization: Bearer {SECRET}")


async def test_a_new_secret_counts_from_the_next_connection(ports: Ports) -> None:
    ports.door.secret.write_text("ff" * 32)
    assert b" 401 " in await ask(ports.terminal, f"Authorization: Bearer {SECRET}")
    assert b" 200 " in await ask(ports.terminal, f"Authorization: Bearer {'ff' * 32}")


async def test_the_terminal_gets_the_request_without_the_secret(ports: Ports) -> None:
    answer = await ask(ports.terminal, f"authorization: bearer {SECRET}", "Upgrade: websocket")
    assert b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n" in answer
    assert SECRET.encode() not in answer


async def test_the_screen_is_a_binary_websocket_both_ways(ports: Ports) -> None:
    async with connect(ports.screen) as socket:
        assert socket.subprotocol == "binary"
        assert await socket.recv() == GREETING
        for payload in (b"k", b"x" * 200, bytes(range(256)) * 1000):
            await socket.send(payload)
            echoed = b""
            while len(echoed) < len(payload):
                part = await socket.recv()
                assert isinstance(part, bytes)
                echoed += part
            assert echoed == payload


async def test_the_screen_answers_pings_and_closes(ports: Ports) -> None:
    async with connect(ports.screen) as socket:
        await asyncio.wait_for(await socket.ping(), 10)
    assert socket.close_code == 1000


async def test_a_plain_request_to_the_screen_is_told_to_upgrade(ports: Ports) -> None:
    answer = await ask(ports.screen, f"Authorization: Bearer {SECRET}")
    assert answer.startswith(b"HTTP/1.1 426 ")


async def test_a_missing_server_behind_the_door_is_told(ports: Ports) -> None:
    ports.door.terminal.unlink()
    answer = await ask(ports.terminal, f"Authorization: Bearer {SECRET}")
    assert answer.startswith(b"HTTP/1.1 503 ")


async def test_nonsense_is_refused(ports: Ports) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports.screen)
    writer.write(b"hello\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_frames_carry_their_length(length: int) -> None:
    frame = encode(BINARY, b"x" * length)
    assert frame.endswith(b"x" * length)
    assert len(frame) - length == (2 if length < 126 else 4 if length < 65536 else 10)


def test_unmasking_is_its_own_inverse() -> None:
    mask = b"\x01\x02\x03\x04"
    assert unmask(b"hello world", mask) != b"hello world"
    assert unmask(unmask(b"hello world", mask), mask) == b"hello world"
