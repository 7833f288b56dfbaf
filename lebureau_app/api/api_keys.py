"""API keys."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    DEFAULT_LIMIT,
    Admin,
    Cursor,
    Limit,
    Reader,
    well_formed,
)
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import listing
from lebureau_app.api.schemas import NewApiKey
from lebureau_app.api.shapes import shows
from lebureau_app.services import api_keys, present
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api/api-keys", tags=["API keys"])


@router.get("", responses=shows(shapes.Listing[shapes.ApiKey]))
async def list_api_keys(
    caller: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """The caller's API keys, without their secrets."""
    page = await api_keys.list_api_keys(caller, limit=limit, cursor=cursor)
    return listing(page, present.api_key)


@router.post("", status_code=201, responses=shows(shapes.ApiKey, 201))
async def create_api_key(
    request: Request, caller: Admin, payload: NewApiKey, key: Key = None
) -> JSONResponse:
    """Make an API key; its secret is in this answer and never again."""

    async def make() -> Answer:
        row, secret = await api_keys.create(
            caller, payload.name, payload.scopes, payload.expires_at
        )
        return Answer(201, present.api_key(row, secret), secrets=("key",))

    return response(await create_once(request, caller, key, payload, make))


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(caller: Admin, key_id: str) -> None:
    """Make an API key useless at once."""
    await api_keys.revoke(caller, well_formed(key_id))
