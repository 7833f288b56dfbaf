"""A word with OpenClaw's gateway from inside the machine: its WebSocket (wire protocol 4).

A client on the loopback that knows the gateway's token and calls itself a back end needs no device.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Any

PORT = 18789
PROTOCOL = 4
CONNECT_PATIENCE_S = 20
CALL_PATIENCE_S = 120
_CLIENT = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}


class GatewayError(Exception):
    """The gateway does not answer, or answered with an error."""


class Gateway:
    """One connection, as administrator.

    Args:
        token: The gateway's token.
        port: Where it listens on the loopback.

    Raises:
        GatewayError: It does not listen, or refuses the token.
    """

    def __init__(self, token: str, port: int = PORT) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), CONNECT_PATIENCE_S)
        except OSError as error:
            raise GatewayError(str(error)) from error
        self._stream = self._socket.makefile("rb")
        self._count = 0
        try:
            self._upgrade(port)
            self.call(
                "connect",
                minProtocol=PROTOCOL,
                maxProtocol=PROTOCOL,
                client=_CLIENT,
                role="operator",
                scopes=["operator.admin"],
                auth={"token": token},
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        with suppress(OSError):
            self._stream.close()
            self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its answer.

        Raises:
            GatewayError: It failed, or the connection broke.
        """
        self._count += 1
        number = str(self._count)
        request = {"type": "req", "id": number, "method": method, "params": params}
        try:
            self._socket.settimeout(CALL_PATIENCE_S)
            self._send(json.dumps(request).encode())
            while True:
                message = self._receive()
                if message.get("type") == "res" and message.get("id") == number:
                    break
        except (OSError, EOFError, ValueError, struct.error) as error:
            raise GatewayError(f"{method}: {error}") from error
        if not message.get("ok"):
            raise GatewayError(f"{method}: {(message.get('error') or {}).get('message')}")
        return message.get("payload") or {}

    def _upgrade(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET / HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
            status = self._stream.readline()
            while self._stream.readline().strip():
                pass
        except OSError as error:
            raise GatewayError(str(error)) from error
        if b" 101 " not in status:
            raise GatewayError("The gateway did not open a WebSocket.")

    def _send(self, payload: bytes, opcode: int = 1) -> None:
        """One masked frame (RFC 6455 §5.2); the mask hides nothing on a loopback."""
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        self._socket.sendall(head + bytes(4) + payload)

    def _receive(self) -> dict[str, Any]:
        """The next message of text; the gateway does not fragment."""
        while True:
            first, length = self._read(2)
            if length == 126:
                (length,) = struct.unpack("!H", self._read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._read(8))
            payload = self._read(length)
            match first & 0x0F:
                case 1:
                    return json.loads(payload)
                case 8:
                    raise EOFError("the gateway closed the connection")
                case 9:
                    self._send(payload, opcode=10)

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise EOFError("the connection broke")
        return data
