"""The human page of the API: Swagger UI from our own origin, under our own CSP."""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from lebureau_app.errors import NotFound

DESCRIPTION = (
    "Everything that the web page can do. Sign in on the page, or send an API key as "
    "`Authorization: Bearer lb_…`. Every error has one shape."
)

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint", "fields", "requestId"],
            "properties": {
                "code": {"type": "string", "example": "desktop_not_found"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "fields": {"type": "object", "additionalProperties": {"type": "string"}},
                "requestId": {"type": "string"},
            },
        }
    },
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused", "content": {"application/json": {"schema": _ERROR}}},
    "5XX": {"description": "Failed", "content": {"application/json": {"schema": _ERROR}}},
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Le Bureau API</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}

router = APIRouter(prefix="/api/docs", include_in_schema=False)


@router.get("")
async def page() -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE)


@router.get("/start.js")
async def start() -> Response:
    """What starts Swagger UI."""
    return Response(_START, media_type="text/javascript")


@router.get("/{name}")
async def asset(name: str) -> Response:
    """Swagger UI itself, from the package `fastapi-swagger`."""
    if name not in _ASSETS:
        raise NotFound
    content = files("fastapi_swagger").joinpath("resources", name).read_bytes()
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(content, media_type=_ASSETS[name], headers=headers)
