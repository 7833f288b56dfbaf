"""Just enough HTTP/1.1 (RFC 9112) to guard a WebSocket upgrade."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

MAX_HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 15


class BadRequest(Exception):
    """What came is not a request."""


@dataclass(frozen=True)
class Request:
    """The head of a request: its first line and its header fields, in order."""

    line: str
    fields: tuple[tuple[str, str], ...]

    def field(self, name: str) -> str:
        """Return the value of a field, or nothing."""
        return next((value for key, value in self.fields if key.lower() == name), "")

    def without(self, name: str) -> bytes:
        """Return the head as bytes, but for one field."""
        kept = [f"{key}: {value}" for key, value in self.fields if key.lower() != name]
        return "\r\n".join([self.line, *kept, "", ""]).encode("latin-1")


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read the head of a request.

    Raises:
        BadRequest: It is malformed, too long or does not come.
    """
    try:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
        raise BadRequest from error
    line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    if len(line.split(" ")) != 3 or not all(":" in field for field in rest):
        raise BadRequest
    pairs = (field.partition(":") for field in rest)
    return Request(line, tuple((key.strip(), value.strip()) for key, _, value in pairs))


def refusal(status: str, *fields: str) -> bytes:
    """Return an answer without a body that ends the connection."""
    return "\r\n".join(
        [f"HTTP/1.1 {status}", *fields, "Content-Length: 0", "Connection: close", "", ""]
    ).encode("latin-1")
