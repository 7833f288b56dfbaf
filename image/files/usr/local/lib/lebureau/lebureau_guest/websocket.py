"""The server's side of the WebSocket protocol (RFC 6455), for binary streams."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct

from lebureau_guest.http import Request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MAX_PAYLOAD = 16 * 1024 * 1024


class ProtocolError(Exception):
    """The other side broke the protocol."""


def accept(request: Request) -> bytes:
    """Return the answer that upgrades a request's connection.

    Raises:
        ProtocolError: The request asks for no WebSocket.
    """
    key = request.field("sec-websocket-key")
    if request.field("upgrade").lower() != "websocket" or not key:
        raise ProtocolError
    digest = base64.b64encode(
        hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    ).decode()
    answer = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {digest}",
    ]
    offered = [name.strip() for name in request.field("sec-websocket-protocol").split(",")]
    if "binary" in offered:
        answer.append("Sec-WebSocket-Protocol: binary")
    return "\r\n".join([*answer, "", ""]).encode()


def encode(opcode: int, payload: bytes) -> bytes:
    """Return one unmasked, unfragmented frame."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, length)
    return head + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one frame of a client.

    Returns:
        Its opcode and unmasked payload.

    Raises:
        ProtocolError: It is unmasked or too long.
        asyncio.IncompleteReadError: The connection ended.
    """
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    if not second & 0x80 or length > MAX_PAYLOAD:
        raise ProtocolError
    mask = await reader.readexactly(4)
    return first & 0x0F, unmask(await reader.readexactly(length), mask)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Undo a client's masking."""
    length = len(payload)
    pad = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")
