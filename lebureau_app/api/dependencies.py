"""What routes have in common: who is calling, with what scope, and well-formed values."""

import dataclasses
import re
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request, WebSocket
from starlette.requests import HTTPConnection

from lebureau_app.errors import DesktopNotFound, NotFound, NotSignedIn, WrongOrigin
from lebureau_app.services import api_keys, sessions
from lebureau_app.services.access import Caller, Scope
from lebureau_app.services.paging import DEFAULT_LIMIT, MOST
from lebureau_app.services.rate_limits import limits

_SAFE = ("GET", "HEAD", "OPTIONS")
_ID = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}")


async def identify(connection: HTTPConnection) -> Caller:
    """Who is calling, by API key or by session cookie.

    Raises:
        NotSignedIn: Neither is there, or it is not valid.
        WrongOrigin: A browser's request that changes something, from another site.
        RateLimited: Too many calls in this second.
    """
    caller = await _authenticated(connection)
    await limits.count_call(caller.key if caller else address(connection))
    if caller is None:
        raise NotSignedIn
    if caller.session_id and connection.scope.get("method") not in _SAFE:
        need_origin(connection)
    return dataclasses.replace(caller, address=address(connection))


def need_origin(connection: HTTPConnection) -> None:
    """Refuse a request that does not come from one of our own pages (RFC 6454).

    Raises:
        WrongOrigin: `Origin` is missing or another host's.
    """
    if not _own_origin(connection, connection.headers.get("origin", "")):
        raise WrongOrigin


def need_no_foreign_origin(connection: HTTPConnection) -> None:
    """Refuse what another site's page sends; programs, which send no `Origin`, may pass.

    Raises:
        WrongOrigin: `Origin` is another host's.
    """
    origin = connection.headers.get("origin")
    if origin is not None and not _own_origin(connection, origin):
        raise WrongOrigin


def address(connection: HTTPConnection) -> str:
    """Where a request comes from."""
    return connection.client.host if connection.client else ""


def may(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that answers the caller, who must have `scope`."""

    async def caller(request: Request) -> Caller:
        found = await identify(request)
        found.need_scope(scope)
        return found

    return caller


Reader = Annotated[Caller, Depends(may("read"))]
Writer = Annotated[Caller, Depends(may("write"))]
Admin = Annotated[Caller, Depends(may("admin"))]


def well_formed(value: str, error: type[NotFound] = NotFound) -> str:
    """An id that can be one of ours; anything else is unknown, whatever it is.

    Raises:
        NotFound: It cannot.
    """
    if not _ID.fullmatch(value):
        raise error
    return value


def _desktop_id(desktop_id: str) -> str:
    return well_formed(desktop_id, DesktopNotFound)


def _workspace_filter(
    workspace_id: Annotated[
        str | None, Query(alias="workspaceId", description="Only of this workspace.")
    ] = None,
) -> str | None:
    return None if workspace_id is None else well_formed(workspace_id)


DesktopId = Annotated[str, Depends(_desktop_id)]
WorkspaceFilter = Annotated[str | None, Depends(_workspace_filter)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows a page.")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=200, description="`nextCursor` of the page before.")
]

__all__ = ["DEFAULT_LIMIT", "Admin", "Cursor", "DesktopId", "Limit", "Reader", "Writer"]


def socket_address(connection: HTTPConnection, path: str) -> str:
    """The absolute `ws:` or `wss:` address of a path, by the name that the client used."""
    secure = connection.url.scheme in ("https", "wss")
    host = connection.headers.get("host") or connection.url.netloc
    return f"{'wss' if secure else 'ws'}://{host}{path}"


async def _authenticated(connection: HTTPConnection) -> Caller | None:
    authorization = connection.headers.get("authorization")
    if authorization is not None and not isinstance(connection, WebSocket):
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        return await api_keys.caller_from_bearer(token.strip())
    return await sessions.caller_from_cookie(connection.headers.get("cookie", ""))


def _own_origin(connection: HTTPConnection, origin: str) -> bool:
    host = connection.headers.get("host", "")
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(host) and parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
