"""The door of a desktop: the only way to its screen and its terminal.

Both are WebSockets (RFC 6455) that ask for the door secret as a bearer token. The guest is not
trusted: it cannot lead us elsewhere by a redirect, nor fill our memory with one long message.
"""

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from lebureau_app.errors import GuestError

VNC_PATH = "/websockify"
VNC_SUBPROTOCOLS = ("binary",)
TERMINAL_PATH = "/ws"
TERMINAL_SUBPROTOCOLS = ("tty",)

_LARGEST_MESSAGE = 4 * 1024 * 1024

# The client writes the headers, and so the secret, to its debug log.
_QUIET = logging.getLogger(__name__)
_QUIET.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Door:
    """Where one channel of a desktop is reached, and the secret that opens it."""

    host: str
    port: int
    secret: str = field(repr=False)


async def connect(
    door: Door, path: str, subprotocols: Sequence[str] = (), *, timeout: float = 10
) -> ClientConnection:
    """Open a WebSocket through the door.

    Args:
        door: The channel's door.
        path: Path of the request.
        subprotocols: What to offer; the guest may choose none.
        timeout: Seconds for the whole handshake.

    Returns:
        The open connection, without compression.

    Raises:
        GuestError: Nothing listens, the secret is refused, or the answer is no WebSocket.
    """
    try:
        return await open_websocket(
            f"ws://{_authority(door)}{path}",
            # Given explicitly, they make the client refuse a redirect to any other origin.
            host=door.host,
            port=door.port,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            additional_headers={"Authorization": f"Bearer {door.secret}"},
            compression=None,
            proxy=None,
            max_size=_LARGEST_MESSAGE,
            open_timeout=timeout,
            close_timeout=1,
            ping_interval=20,
            ping_timeout=20,
            logger=_QUIET,
        )
    except InvalidStatus as error:
        raise GuestError(_refusal(error.response.status_code)) from None
    except TimeoutError:
        raise GuestError(f"The desktop's door did not answer within {timeout:g} s.") from None
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else "no connection"
        raise GuestError(f"The desktop's door cannot be reached: {reason}.") from None
    except (InvalidHandshake, ValueError) as error:
        raise GuestError(f"The desktop's door does not speak WebSocket: {error}.") from None


async def probe_terminal(door: Door, *, timeout: float = 10) -> None:
    """Prove that the terminal works: open it and wait for its first output.

    Args:
        door: The terminal's door.
        timeout: Seconds for everything.

    Raises:
        GuestError: The door does not open, or no terminal shows behind it in time.
    """
    try:
        async with asyncio.timeout(timeout):
            terminal = await connect(door, TERMINAL_PATH, TERMINAL_SUBPROTOCOLS, timeout=timeout)
            async with terminal:
                await terminal.send(terminal_hello(columns=80, rows=24))
                async for message in terminal:
                    frame = message.encode() if isinstance(message, str) else message
                    if frame[:1] == b"0":
                        return
    except TimeoutError:
        raise GuestError(f"The terminal showed nothing within {timeout:g} s.") from None
    except ConnectionClosed:
        pass
    raise GuestError("The terminal closed before it showed anything.")


async def probe_terminal_gently(door: Door, *, timeout: float = 10) -> None:
    """Prove that ttyd answers, without attaching to the session: that would resize it for whoever
    is typing in it (tmux(1), `window-size latest`).

    Raises:
        GuestError: The door does not open in time.
    """
    terminal = await connect(door, TERMINAL_PATH, TERMINAL_SUBPROTOCOLS, timeout=timeout)
    await terminal.close()


def terminal_hello(*, columns: int, rows: int) -> bytes:
    """The first message of a ttyd client (ttyd 1.7); the door has already signed us in."""
    return json.dumps({"AuthToken": "", "columns": columns, "rows": rows}).encode()


def _authority(door: Door) -> str:
    host = f"[{door.host}]" if ":" in door.host else door.host
    return f"{host}:{door.port}"


def _refusal(status: int) -> str:
    if status == 401:
        return "The desktop's door refused our secret."
    return f"The desktop's door answered with HTTP status {status} instead of a WebSocket."
