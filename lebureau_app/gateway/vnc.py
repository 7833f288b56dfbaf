"""The screen's WebSocket: RFB between a browser and the desktop's VNC server."""

from collections.abc import Callable

from fastapi import WebSocket

from lebureau_app.gateway.live import LiveSocket
from lebureau_app.gateway.relay import PATIENCE, relay
from lebureau_app.gateway.rfb import ClientStream
from lebureau_app.guest.door import VNC_PATH, VNC_SUBPROTOCOLS, Door


async def relay_vnc(
    websocket: WebSocket,
    door: Door,
    *,
    view_only: Callable[[], bool],
    live: LiveSocket,
    on_input: Callable[[], None] = lambda: None,
    patience: float = PATIENCE,
) -> None:
    """Show a desktop's screen to a browser until one of them ends.

    The guest's VNC server asks for no password behind its door, so the browser sees the security
    type None.

    Args:
        websocket: Authenticated by the caller and not yet accepted.
        door: The screen's door.
        view_only: Asked for each message: whether keys, pointer, clipboard and size are dropped.
        live: The entry in the register of live sockets.
        on_input: Called for what a person does that the guest sees.
        patience: Seconds in which the browser has to take a message.

    Raises:
        ChannelNotReady: The door did not open; the WebSocket can still be refused.
    """
    stream = ClientStream(view_only, on_input)
    await relay(
        websocket,
        door,
        VNC_PATH,
        VNC_SUBPROTOCOLS,
        admit=stream.feed,
        live=live,
        patience=patience,
    )
