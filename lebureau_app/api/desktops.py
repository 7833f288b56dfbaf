"""Desktops: create, read, change, and what is done to them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    DEFAULT_LIMIT,
    Cursor,
    DesktopId,
    Limit,
    Reader,
    WorkspaceFilter,
    Writer,
    well_formed,
)
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import listing, whole
from lebureau_app.api.schemas import (
    DesktopChange,
    DesktopRequest,
    Empty,
    ForkRequest,
    KeepAwake,
    Start,
    Stop,
)
from lebureau_app.api.shapes import shows
from lebureau_app.errors import Invalid
from lebureau_app.services import desktops, forks, operations, present
from lebureau_app.services.desktops import Changes, NewDesktop
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api", tags=["desktops"])

StatusFilter = Literal["provisioning", "running", "stopped", "hibernated", "error", "destroyed"]


@router.get("/desktops", responses=shows(shapes.Listing[shapes.Desktop]))
async def list_desktops(
    caller: Reader,
    workspace_id: WorkspaceFilter = None,
    status: StatusFilter | None = None,
    q: Annotated[str | None, Query(max_length=100, description="Part of a name.")] = None,
    label: Annotated[
        list[str] | None, Query(max_length=20, description="`key:value`, may be repeated.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The caller's desktops, newest first; destroyed ones with `status=destroyed`."""
    page = await desktops.list_desktops(
        caller,
        workspace_id=workspace_id,
        status=status,
        q=q,
        labels=_labels(label or []),
        limit=limit,
        cursor=cursor,
    )
    return listing(page, present.desktop)


@router.post("/desktops", status_code=202, responses=shows(shapes.Desktop, 202))
async def create_desktop(
    request: Request, caller: Writer, payload: DesktopRequest, key: Key = None
) -> JSONResponse:
    """Create a desktop; it comes up by itself."""

    async def make() -> Answer:
        new = NewDesktop(**dict(payload))
        return Answer(202, present.desktop(await desktops.create(caller, new)))

    return response(await create_once(request, caller, key, payload, make))


@router.get("/desktops/{desktop_id}", responses=shows(shapes.Desktop))
async def get_desktop(caller: Reader, desktop_id: DesktopId) -> dict[str, Any]:
    """One desktop, also when it has been destroyed."""
    return present.desktop(await desktops.get(caller, desktop_id))


@router.patch("/desktops/{desktop_id}", responses=shows(shapes.Desktop))
async def change_desktop(
    caller: Writer, desktop_id: DesktopId, payload: DesktopChange
) -> dict[str, Any]:
    """Rename, relabel, choose provider keys and when to hibernate; its tier or image while stopped.

    On another `image` its home folder is carried over; software that was installed outside of it
    has to be installed again. With `snapshot` a snapshot is taken before the tier or the image
    changes, to go back to.
    """
    changes = Changes(**{name: getattr(payload, name) for name in payload.model_fields_set})
    return present.desktop(await desktops.change(caller, desktop_id, changes))


@router.delete("/desktops/{desktop_id}", status_code=202, responses=shows(shapes.Desktop, 202))
async def destroy_desktop(caller: Writer, desktop_id: DesktopId) -> dict[str, Any]:
    """Destroy a desktop with its disk; what was said stays readable."""
    return present.desktop(await desktops.destroy(caller, desktop_id))


@router.post("/desktops/{desktop_id}/start", status_code=202, responses=shows(shapes.Desktop, 202))
async def start_desktop(
    caller: Writer, desktop_id: DesktopId, payload: Start | None = None
) -> dict[str, Any]:
    """Have it run; a hibernated one wakes, or with `cold` boots."""
    cold = payload is not None and payload.cold
    return present.desktop(await desktops.start(caller, desktop_id, cold=cold))


@router.post("/desktops/{desktop_id}/stop", status_code=202, responses=shows(shapes.Desktop, 202))
async def stop_desktop(
    caller: Writer, desktop_id: DesktopId, payload: Stop | None = None
) -> dict[str, Any]:
    """Shut it down; with `force` its plug is pulled."""
    force = payload is not None and payload.force
    return present.desktop(await desktops.stop(caller, desktop_id, force=force))


@router.post(
    "/desktops/{desktop_id}/restart", status_code=202, responses=shows(shapes.Desktop, 202)
)
async def restart_desktop(
    caller: Writer, desktop_id: DesktopId, payload: Empty | None = None
) -> dict[str, Any]:
    """Shut it down and start it again."""
    return present.desktop(await desktops.restart(caller, desktop_id))


@router.post(
    "/desktops/{desktop_id}/hibernate", status_code=202, responses=shows(shapes.Desktop, 202)
)
async def hibernate_desktop(
    caller: Writer, desktop_id: DesktopId, payload: Empty | None = None
) -> dict[str, Any]:
    """Have it give its memory back and keep all that is in it; using it wakes it."""
    return present.desktop(await desktops.hibernate(caller, desktop_id))


@router.post(
    "/desktops/{desktop_id}/keep-awake", status_code=202, responses=shows(shapes.Desktop, 202)
)
async def keep_desktop_awake(
    caller: Writer, desktop_id: DesktopId, payload: KeepAwake | None = None
) -> dict[str, Any]:
    """Let it not hibernate by itself for a while."""
    seconds = (payload or KeepAwake()).seconds
    return present.desktop(await desktops.keep_awake(caller, desktop_id, seconds))


@router.post(
    "/desktops/{desktop_id}/fork",
    status_code=202,
    responses=shows(shapes.Listing[shapes.Desktop], 202),
)
async def fork_desktop(
    request: Request,
    caller: Writer,
    desktop_id: DesktopId,
    payload: ForkRequest | None = None,
    key: Key = None,
) -> JSONResponse:
    """New desktops from this one as it is now, each with an identity of its own."""

    async def make() -> Answer:
        asked = payload or ForkRequest()
        children = await forks.fork(caller, desktop_id, asked.count, asked.name_prefix)
        return Answer(202, whole([present.desktop(child) for child in children]))

    return response(await create_once(request, caller, key, payload, make))


@router.post("/desktops/{desktop_id}/cancel", status_code=202, responses=shows(shapes.Desktop, 202))
async def cancel_desktop(
    caller: Writer, desktop_id: DesktopId, payload: Empty | None = None
) -> dict[str, Any]:
    """Stop what is being done to it, where that can still be stopped."""
    return present.desktop(await desktops.cancel(caller, desktop_id))


@router.get("/desktops/{desktop_id}/explain", responses=shows(shapes.Explanation))
async def explain_desktop(caller: Reader, desktop_id: DesktopId) -> dict[str, Any]:
    """Why each light is what it is, and the next step."""
    return await desktops.explain(caller, desktop_id)


@router.get("/desktops/{desktop_id}/operations", responses=shows(shapes.Listing[shapes.Operation]))
async def list_operations(
    caller: Reader, desktop_id: DesktopId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """The journal of what was done to it, newest first."""
    page = await operations.list_operations(caller, desktop_id, limit=limit, cursor=cursor)
    return listing(page, present.operation)


@router.post(
    "/operations/{operation_id}/retry", status_code=202, responses=shows(shapes.Operation, 202)
)
async def retry_operation(
    caller: Writer, operation_id: str, payload: Empty | None = None
) -> dict[str, Any]:
    """Carry on with a failed operation."""
    return present.operation(await operations.retry(caller, well_formed(operation_id)))


def _labels(texts: list[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, colon, value = text.partition(":")
        if not colon or not key or len(text) > 200:
            raise Invalid("This is not a label.", fields={"label": "Written as key:value."})
        labels[key] = value
    return labels
