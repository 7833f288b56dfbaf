"""Workspaces."""

from typing import Any

from fastapi import APIRouter

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Reader,
    Writer,
    well_formed,
)
from lebureau_app.api.listing import listing
from lebureau_app.api.schemas import WorkspaceChange
from lebureau_app.api.shapes import shows
from lebureau_app.services import present, workspaces

router = APIRouter(prefix="/api/workspaces", tags=["workspaces"])


@router.get("", responses=shows(shapes.Listing[shapes.Workspace]))
async def list_workspaces(
    caller: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """The caller's workspaces."""
    page = await workspaces.list_workspaces(caller, limit=limit, cursor=cursor)
    return listing(page, lambda row: present.workspace(row, caller.roles[row.id]))


@router.get("/{workspace_id}", responses=shows(shapes.Workspace))
async def get_workspace(caller: Reader, workspace_id: str) -> dict[str, Any]:
    """One workspace."""
    row = await workspaces.get(caller, well_formed(workspace_id))
    return present.workspace(row, caller.roles[row.id])


@router.patch("/{workspace_id}", responses=shows(shapes.Workspace))
async def change_workspace(
    caller: Writer, workspace_id: str, payload: WorkspaceChange
) -> dict[str, Any]:
    """Say when its idle desktops hibernate."""
    row = await workspaces.change(
        caller, well_formed(workspace_id), hibernate_after=payload.hibernate_after
    )
    return present.workspace(row, caller.roles[row.id])
