"""The WebSockets: screen and terminal, through the gateway."""

from typing import Literal

from fastapi import APIRouter, WebSocket

from lebureau_app.api.dependencies import identify, need_no_foreign_origin, need_origin, well_formed
from lebureau_app.api.problems import answer
from lebureau_app.errors import DesktopNotFound, LeBureauError, Malformed
from lebureau_app.gateway.live import live_sockets
from lebureau_app.gateway.terminal import relay_terminal
from lebureau_app.gateway.vnc import relay_vnc
from lebureau_app.services import activity, channels, desktops, tickets
from lebureau_app.services.tickets import Pass

router = APIRouter()

_RELAYS = {"vnc": relay_vnc, "terminal": relay_terminal}


@router.websocket("/ws/desktops/{desktop_id}/vnc")
async def screen(websocket: WebSocket, desktop_id: str) -> None:
    """The screen: RFB, subprotocol `binary`."""
    await _join(websocket, desktop_id, "vnc")


@router.websocket("/ws/desktops/{desktop_id}/terminal")
async def terminal(websocket: WebSocket, desktop_id: str) -> None:
    """The terminal: ttyd's protocol, subprotocol `tty`."""
    await _join(websocket, desktop_id, "terminal")


async def _join(websocket: WebSocket, desktop_id: str, channel: Literal["vnc", "terminal"]) -> None:
    """Let a client through to a channel, or refuse the handshake with the error as its body."""
    try:
        admitted = await _admit(websocket, desktop_id, channel)
        caller = admitted.caller
        with live_sockets.register(
            user_id=caller.user_id,
            session_id=caller.session_id,
            api_key_id=caller.api_key_id,
            desktop_id=desktop_id,
            channel=channel,
            mode=admitted.mode,
        ) as live:
            door = await channels.door(caller, desktop_id, channel, admitted.mode)
            await _RELAYS[channel](
                websocket,
                door,
                view_only=lambda: live.mode == "view",
                live=live,
                on_input=lambda: activity.note(desktop_id),
            )
    except LeBureauError as error:
        await websocket.send_denial_response(answer(websocket, error))


async def _admit(websocket: WebSocket, desktop_id: str, channel: str) -> Pass:
    """Who comes in and how: by ticket, or by cookie from a page of ours."""
    ticket = websocket.query_params.get("ticket")
    if ticket is not None:
        need_no_foreign_origin(websocket)
        return await tickets.redeem(ticket, desktop_id, channel)
    caller = await identify(websocket)
    need_origin(websocket)
    desktop = await desktops.get(caller, well_formed(desktop_id, DesktopNotFound))
    mode = websocket.query_params.get("mode") or channels.mode_for(caller, desktop)
    if mode not in ("control", "view"):
        raise Malformed("`mode` is control or view.")
    return Pass(caller, mode)
