"""Snapshots of a desktop."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    DEFAULT_LIMIT,
    Cursor,
    DesktopId,
    Limit,
    Reader,
    Writer,
    well_formed,
)
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import listing
from lebureau_app.api.schemas import Empty, SnapshotRequest
from lebureau_app.api.shapes import shows
from lebureau_app.services import present, snapshots
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api/desktops/{desktop_id}/snapshots", tags=["snapshots"])


def _snapshot_id(snapshot_id: str) -> str:
    return well_formed(snapshot_id)


SnapshotId = Annotated[str, Depends(_snapshot_id)]


@router.get("", responses=shows(shapes.Listing[shapes.Snapshot]))
async def list_snapshots(
    caller: Reader, desktop_id: DesktopId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """What is kept of a desktop, newest first."""
    page = await snapshots.list_snapshots(caller, desktop_id, limit=limit, cursor=cursor)
    return listing(page, present.snapshot)


@router.post("", status_code=202, responses=shows(shapes.Snapshot, 202))
async def take_snapshot(
    request: Request,
    caller: Writer,
    desktop_id: DesktopId,
    payload: SnapshotRequest | None = None,
    key: Key = None,
) -> JSONResponse:
    """Keep its disk and, while it runs, its memory."""

    async def make() -> Answer:
        name = payload.name if payload else None
        return Answer(202, present.snapshot(await snapshots.take(caller, desktop_id, name)))

    return response(await create_once(request, caller, key, payload, make))


@router.get(
    "/{snapshot_id}/picture",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def picture(caller: Reader, desktop_id: DesktopId, snapshot_id: SnapshotId) -> Response:
    """What was on its screen then, as PNG."""
    png = await snapshots.picture(caller, desktop_id, snapshot_id)
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(png, media_type="image/png", headers=headers)


@router.post("/{snapshot_id}/restore", status_code=202, responses=shows(shapes.Desktop, 202))
async def restore_snapshot(
    caller: Writer, desktop_id: DesktopId, snapshot_id: SnapshotId, payload: Empty | None = None
) -> dict[str, Any]:
    """Make the desktop what it was then; what it is now is kept as an automatic snapshot."""
    return present.desktop(await snapshots.restore(caller, desktop_id, snapshot_id))


@router.delete("/{snapshot_id}", status_code=204)
async def delete_snapshot(caller: Writer, desktop_id: DesktopId, snapshot_id: SnapshotId) -> None:
    """Remove a snapshot."""
    await snapshots.delete(caller, desktop_id, snapshot_id)
