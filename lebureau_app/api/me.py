"""Who is calling."""

from typing import Any

from fastapi import APIRouter

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import Reader
from lebureau_app.api.shapes import shows
from lebureau_app.services import present, users, workspaces
from lebureau_app.services.access import SCOPES
from lebureau_app.services.paging import MOST

router = APIRouter(prefix="/api", tags=["sign-in"])


@router.get("/me", responses=shows(shapes.Me))
async def me(caller: Reader) -> dict[str, Any]:
    """Who is calling, in which workspaces, with what role and scopes."""
    page = await workspaces.list_workspaces(caller, limit=MOST)
    return {
        "user": present.user(await users.get(caller.user_id)),
        "workspaces": [present.workspace(row, caller.roles[row.id]) for row in page.rows],
        "scopes": [scope for scope in SCOPES if scope in caller.scopes],
    }
