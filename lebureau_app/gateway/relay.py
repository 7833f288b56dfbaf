"""The relay between a browser's WebSocket and a desktop's door, whatever they talk.

Neither side can make the other's data pile up: each message is handed on before the next is read,
and a browser that takes nothing for a while is let go.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from lebureau_app.errors import ChannelNotReady, GuestError
from lebureau_app.gateway.live import REASONS, CloseCode, LiveSocket
from lebureau_app.guest.door import Door, connect

PATIENCE = 10.0
"""Seconds in which a browser has to take a message before it is too slow."""

_FAREWELL = 1.0

Admit = Callable[[bytes], bytes]
"""What of the browser's bytes goes on to the guest; empty where nothing does."""


class ProtocolViolation(Exception):
    """The browser said something that the proxy cannot pass on; the text becomes the reason."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """What the browser is told at the end; None in its place where the browser is gone."""

    code: int
    reason: str


async def relay(
    websocket: WebSocket,
    door: Door,
    path: str,
    subprotocols: Sequence[str],
    *,
    admit: Admit,
    live: LiveSocket,
    patience: float = PATIENCE,
) -> None:
    """Join a browser with a door until either ends or `live` must close.

    Args:
        websocket: Authenticated by the caller and not yet accepted.
        door: The channel's door.
        path: Path behind the door.
        subprotocols: Subprotocols of the channel; a browser may ask for none.
        admit: Filters what the browser sends; fed in order, once for each message.
        live: The entry in the register of live sockets.
        patience: Seconds in which the browser has to take a message.

    Raises:
        ChannelNotReady: The door did not open. The WebSocket has not been accepted, so that the
            caller can still refuse the handshake.
    """
    try:
        guest = await connect(door, path, subprotocols)
    except GuestError as error:
        raise ChannelNotReady(f"This part of the desktop is not ready: {error.message}") from error
    try:
        with contextlib.suppress(WebSocketDisconnect):
            asked = websocket.scope["subprotocols"]
            chosen = next((name for name in subprotocols if name in asked), None)
            await websocket.accept(subprotocol=chosen)
            ending = await _first_ending(
                _browser_to_guest(websocket, guest, admit),
                _guest_to_browser(guest, websocket, patience),
                _ordered_to_close(live),
            )
            if ending is not None:
                await _farewell(websocket, ending)
    finally:
        await guest.close()


async def _farewell(websocket: WebSocket, ending: _Ending) -> None:
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(_FAREWELL):
            await websocket.close(ending.code, ending.reason)


async def _first_ending(*endings: Coroutine[Any, Any, _Ending | None]) -> _Ending | None:
    """Run all until one has ended; of several that end together the last counts."""
    tasks = [asyncio.create_task(ending) for ending in endings]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    ended = [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
    last = ended[-1]
    if isinstance(last, BaseException):
        raise last
    return last


async def _browser_to_guest(
    websocket: WebSocket, guest: ClientConnection, admit: Admit
) -> _Ending | None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        received = message.get("bytes")
        if received is None:
            received = message["text"].encode()
        try:
            admitted = admit(received)
            if admitted:
                await guest.send(admitted)
        except ProtocolViolation as violation:
            return _Ending(1008, str(violation))
        except ConnectionClosed as closed:
            return _guest_ending(closed)


async def _guest_to_browser(
    guest: ClientConnection, websocket: WebSocket, patience: float
) -> _Ending | None:
    while True:
        try:
            message = await guest.recv()
        except ConnectionClosed as closed:
            return _guest_ending(closed)
        data = message.encode() if isinstance(message, str) else message
        try:
            async with asyncio.timeout(patience):
                await websocket.send_bytes(data)
        except TimeoutError:
            return _our_ending(CloseCode.TOO_SLOW)
        except (WebSocketDisconnect, RuntimeError):
            return None


async def _ordered_to_close(live: LiveSocket) -> _Ending:
    return _our_ending(await live.closed())


def _our_ending(code: CloseCode) -> _Ending:
    return _Ending(code, REASONS[code])


def _guest_ending(closed: ConnectionClosed) -> _Ending:
    if isinstance(closed, ConnectionClosedOK):
        return _Ending(1000, "The desktop closed this channel.")
    return _Ending(1011, "The connection to the desktop was lost.")
