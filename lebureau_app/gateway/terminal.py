"""The terminal's WebSocket: the protocol of ttyd 1.7 between a browser and the desktop.

The first byte of a message is its type: `{` the hello, `0` input, `1` resize, `2` pause and `3`
resume of the output. Nothing else is passed on.
"""

import json
from collections.abc import Callable

from fastapi import WebSocket

from lebureau_app.gateway.live import LiveSocket
from lebureau_app.gateway.relay import PATIENCE, ProtocolViolation, relay
from lebureau_app.guest.door import TERMINAL_PATH, TERMINAL_SUBPROTOCOLS, Door, terminal_hello

_HELLO = b"{"
_OUTPUT_FLOW = (b"2", b"3")
_TYPED, _RESIZE = b"0", b"1"
_INPUT = (_TYPED, _RESIZE)
_DEFAULT_COLUMNS, _DEFAULT_ROWS = 80, 24
_LARGEST_SIDE = 1000


async def relay_terminal(
    websocket: WebSocket,
    door: Door,
    *,
    view_only: Callable[[], bool],
    live: LiveSocket,
    on_input: Callable[[], None] = lambda: None,
    patience: float = PATIENCE,
) -> None:
    """Join a browser with a desktop's terminal until one of them ends.

    Args:
        websocket: Authenticated by the caller and not yet accepted.
        door: The terminal's door.
        view_only: Asked for each message: whether input and resizes are dropped.
        live: The entry in the register of live sockets.
        on_input: Called for what a person types.
        patience: Seconds in which the browser has to take a message.

    Raises:
        ChannelNotReady: The door did not open; the WebSocket can still be refused.
    """

    def admit(message: bytes) -> bytes:
        passed = admitted(message, view_only=view_only())
        if passed[:1] == _TYPED:
            on_input()
        return passed

    await relay(
        websocket,
        door,
        TERMINAL_PATH,
        TERMINAL_SUBPROTOCOLS,
        admit=admit,
        live=live,
        patience=patience,
    )


def admitted(message: bytes, *, view_only: bool) -> bytes:
    """What of one message of the browser goes on to ttyd.

    Args:
        message: A whole WebSocket message.
        view_only: Whether the browser may only look.

    Returns:
        The message for the guest, or nothing. The hello's token is always replaced: the proxy has
        signed in already.

    Raises:
        ProtocolViolation: The hello is no JSON object.
    """
    kind = message[:1]
    if kind == _HELLO:
        return _hello(message)
    if kind in _OUTPUT_FLOW or (kind in _INPUT and not view_only):
        return message
    return b""


def _hello(message: bytes) -> bytes:
    try:
        hello = json.loads(message)
    except (ValueError, RecursionError):
        raise ProtocolViolation("The first message must be the JSON hello of ttyd.") from None
    return terminal_hello(
        columns=_side(hello.get("columns"), _DEFAULT_COLUMNS),
        rows=_side(hello.get("rows"), _DEFAULT_ROWS),
    )


def _side(value: object, default: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, 1), _LARGEST_SIDE)
    return default
