"""Errors as answers: one shape for all of them, whoever raised them."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from lebureau_app.errors import (
    Conflict,
    Forbidden,
    Invalid,
    LeBureauError,
    Malformed,
    NotFound,
    NotSignedIn,
    RateLimited,
    TooLarge,
)

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

router = APIRouter(include_in_schema=False)


class MethodNotAllowed(LeBureauError):
    """The path exists, but not for this method."""

    code, status = "method_not_allowed", 405
    message = "This path does not take this method."
    hint = "The header Allow names those that it takes; /api/docs says what they do."

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        super().__init__()
        self.allowed = sorted(allowed)


_BY_STATUS: dict[int, type[LeBureauError]] = {
    400: Malformed,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
}


def handle(api: FastAPI) -> None:
    """Have every error of the application answered in the one shape."""
    api.add_exception_handler(LeBureauError, _ours)  # pyright: ignore[reportArgumentType]
    api.add_exception_handler(RequestValidationError, _validation)  # pyright: ignore[reportArgumentType]
    api.add_exception_handler(HTTPException, _framework)  # pyright: ignore[reportArgumentType]


def answer(request: Request | WebSocket, error: LeBureauError) -> JSONResponse:
    """An error as a response."""
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed) and error.allowed:
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= 500:
        log.warning("%s: %s (%s)", error.code, error.message, request.state.request_id)
    return JSONResponse(error.body(request.state.request_id), error.status, headers)


def from_validation(problems: Sequence[Any]) -> LeBureauError:
    """What pydantic found wrong, as one of our errors.

    Args:
        problems: Its list of `{"type", "loc", "msg"}`.
    """
    if any(problem["type"] == "json_invalid" for problem in problems):
        return Malformed("The body is not valid JSON.")
    fields: dict[str, str] = {}
    for problem in problems:
        where, *path = problem["loc"]
        name = ".".join(str(part) for part in path) or str(where)
        fields.setdefault(to_camel(name) if "_" in name else name, problem["msg"])
    if "body" in fields:
        return Invalid(
            "A JSON object was expected.",
            hint="Send a JSON object with the header `Content-Type: application/json`.",
            fields=fields,
        )
    return Invalid(fields=fields)


async def _ours(request: Request, error: LeBureauError) -> JSONResponse:
    return answer(request, error)


async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
    return answer(request, from_validation(error.errors()))


async def _framework(request: Request, error: HTTPException) -> JSONResponse:
    known = _BY_STATUS.get(error.status_code)
    return answer(request, known() if known else LeBureauError(str(error.detail)))


@router.api_route("/api", methods=list(METHODS))
@router.api_route("/auth", methods=list(METHODS))
@router.api_route("/ws", methods=list(METHODS))
@router.api_route("/api/{rest:path}", methods=list(METHODS))
@router.api_route("/auth/{rest:path}", methods=list(METHODS))
@router.api_route("/ws/{rest:path}", methods=list(METHODS))
async def nothing_here(request: Request) -> None:
    """Whatever no other route took: never one of the pages."""
    allowed = [method for method in METHODS if _takes(request, method)]
    raise MethodNotAllowed(allowed) if allowed else NotFound


@router.websocket("/ws/{rest:path}")
async def no_socket_here(websocket: WebSocket) -> None:
    """A WebSocket that no other route took."""
    await websocket.send_denial_response(answer(websocket, NotFound()))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    for candidate in request.app.router.routes:
        match, _ = candidate.matches(dict(scope))
        if match is Match.FULL:
            owner = getattr(candidate, "original_router", None)
            return owner is not None and owner is not router
    return False
