"""The header `Idempotency-Key` on creating calls."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from lebureau_app.services import idempotency
from lebureau_app.services.access import Caller
from lebureau_app.services.idempotency import Answer

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body give back the first answer for 24 hours.",
    ),
]


async def create_once(
    request: Request,
    caller: Caller,
    key: str | None,
    payload: BaseModel | None,
    make: Callable[[], Awaitable[Answer]],
) -> Answer:
    """Make what a request asks for, once for its key.

    Args:
        request: Where it was asked.
        caller: Who asks.
        key: The header's value.
        payload: The body; None where there is none.
        make: Makes it.
    """
    route = f"{request.method} {request.url.path}"
    return await idempotency.once(caller, route, key, _canonical(payload), make)


def response(answer: Answer) -> JSONResponse:
    """An answer as a response."""
    return JSONResponse(answer.body, answer.status)


def _canonical(payload: BaseModel | None) -> bytes:
    return repr(_plain(payload)).encode(errors="surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return sorted(
            (name, _plain(each)) for name, each in value if name in value.model_fields_set
        )
    if isinstance(value, dict):
        return sorted((name, _plain(each)) for name, each in value.items())
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
