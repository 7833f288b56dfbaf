"""Golden images."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import Reader, Writer
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import whole
from lebureau_app.api.shapes import shows
from lebureau_app.services import images
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api/images", tags=["images"])


@router.get("", responses=shows(shapes.Listing[shapes.Image]))
async def list_images(caller: Reader) -> dict[str, Any]:
    """The images that are there, and the one that is being built."""
    return whole([image.json() for image in await images.list_images(caller)])


@router.post("/build", status_code=202, responses=shows(shapes.Image, 202))
async def build_image(request: Request, caller: Writer, key: Key = None) -> JSONResponse:
    """Have the current image built, unless it is there or on its way."""

    async def make() -> Answer:
        return Answer(202, (await images.request_build(caller)).json())

    return response(await create_once(request, caller, key, None, make))
