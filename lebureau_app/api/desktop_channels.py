"""Using a desktop: screenshot, exec, tickets."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import DesktopId, Reader, Writer, socket_address
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.schemas import Exec, TicketRequest
from lebureau_app.api.shapes import shows
from lebureau_app.services import channels, present, tickets
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api/desktops/{desktop_id}", tags=["channels"])


@router.get("/screenshot", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def screenshot(
    caller: Reader,
    desktop_id: DesktopId,
    width: Annotated[int | None, Query(ge=16, le=3840, description="In pixels.")] = None,
) -> Response:
    """The screen now, as PNG; of a desktop that does not run, the last picture that there is."""
    png = await channels.screenshot(caller, desktop_id, width)
    return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.post("/exec", responses=shows(shapes.Executed))
async def execute(caller: Writer, desktop_id: DesktopId, payload: Exec) -> dict[str, Any]:
    """Run a command by `bash -lc` as user `agent` in its home; a hibernated desktop wakes for it."""
    done = await channels.execute(caller, desktop_id, payload.command, payload.timeout)
    return {
        "exitCode": done.exit_code,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "truncated": done.truncated,
        "timedOut": done.timed_out,
    }


@router.post("/tickets", status_code=201, responses=shows(shapes.Ticket, 201))
async def create_ticket(
    request: Request, caller: Writer, desktop_id: DesktopId, payload: TicketRequest, key: Key = None
) -> JSONResponse:
    """A one-use pass for a WebSocket, for 30 seconds; a hibernated desktop wakes for it."""

    async def make() -> Answer:
        row, token = await tickets.create(caller, desktop_id, payload.channel, payload.mode)
        path = f"/ws/desktops/{desktop_id}/{payload.channel}?ticket={token}"
        body = {
            "ticket": token,
            "url": socket_address(request, path),
            "expiresAt": present.time(row.expires_at),
        }
        return Answer(201, body, secrets=("ticket", "url"))

    return response(await create_once(request, caller, key, payload, make))
