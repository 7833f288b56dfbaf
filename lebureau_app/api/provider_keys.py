"""Provider keys: the user's own model keys, write-only."""

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
    WorkspaceFilter,
    well_formed,
)
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import listing
from lebureau_app.api.schemas import NewProviderKey, RotatedKey
from lebureau_app.api.shapes import shows
from lebureau_app.services import present, provider_keys
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api/provider-keys", tags=["provider keys"])


@router.get("", responses=shows(shapes.Listing[shapes.ProviderKey]))
async def list_provider_keys(
    caller: Reader,
    workspace_id: WorkspaceFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The provider keys of the caller's workspaces, as their last four characters."""
    page = await provider_keys.list_provider_keys(
        caller, workspace_id=workspace_id, limit=limit, cursor=cursor
    )
    return listing(page, present.provider_key)


@router.post("", status_code=201, responses=shows(shapes.ProviderKey, 201))
async def create_provider_key(
    request: Request, caller: Admin, payload: NewProviderKey, key: Key = None
) -> JSONResponse:
    """Keep a provider key; it is never shown again."""

    async def make() -> Answer:
        row = await provider_keys.create(
            caller,
            name=payload.name,
            provider=payload.provider,
            key=payload.key.get_secret_value(),
            workspace_id=payload.workspace_id,
            base_url=payload.base_url,
            model=payload.model,
        )
        return Answer(201, present.provider_key(row))

    return response(await create_once(request, caller, key, payload, make))


@router.put("/{key_id}", responses=shows(shapes.ProviderKey))
async def rotate_provider_key(caller: Admin, key_id: str, payload: RotatedKey) -> dict[str, Any]:
    """Replace the secret, without a restart of the desktops that hold the key."""
    row = await provider_keys.rotate(caller, well_formed(key_id), payload.key.get_secret_value())
    return present.provider_key(row)


@router.post("/{key_id}/test", responses=shows(shapes.Tested))
async def test_provider_key(caller: Admin, key_id: str) -> dict[str, Any]:
    """Try the key with a cheap call to its provider."""
    probe = await provider_keys.test(caller, well_formed(key_id))
    return {"ok": probe.valid is True, "error": probe.error}


@router.delete("/{key_id}", status_code=204)
async def delete_provider_key(caller: Admin, key_id: str) -> None:
    """Remove the key, here and from running desktops."""
    await provider_keys.delete(caller, well_formed(key_id))
