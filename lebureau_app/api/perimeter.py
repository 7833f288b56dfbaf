"""What every request passes: an id, headers that browsers obey, a last resort, a line in the log."""

import logging
import re
import time
from collections.abc import Sequence

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lebureau_app.api.body import OURS, bounded
from lebureau_app.api.metrics import Metrics
from lebureau_app.errors import LeBureauError, Malformed
from lebureau_app.models import new_id
from lebureau_app.settings import get_settings

log = logging.getLogger("lebureau.http")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Perimeter:
    """Pure ASGI middleware, so that streams and WebSockets pass through it untouched.

    Args:
        app: What is inside.
        script_hashes: CSP sources of inline scripts that may run.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, script_hashes: Sequence[str], metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        tls = get_settings().tls_cert is not None
        self._of_pages = security_headers(script_hashes, tls=tls)
        self._of_routes = security_headers((), tls=tls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        security = self._of_routes if scope["path"].startswith(OURS) else self._of_pages
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in security.items():
                    headers.setdefault(name, value)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            _refuse_nul(scope)
            await self._app(scope, await bounded(scope, receive), send_with_headers)
        except LeBureauError as error:
            await _answer(error, request_id, scope, receive, send_with_headers)
        except Exception:
            if status:
                raise
            log.exception("request %s failed", request_id)
            await _answer(LeBureauError(), request_id, scope, receive, send_with_headers)
        finally:
            seconds = time.monotonic() - started
            self._note(scope, status, seconds, request_id)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        template = getattr(scope.get("route"), "path", None) or "other"
        method = scope.get("method", "WS")
        self._metrics.count_request(method, template, status, seconds)
        log.debug("%s %s %d %.0f ms %s", method, template, status, seconds * 1000, request_id)


def security_headers(script_hashes: Sequence[str], *, tls: bool) -> dict[str, str]:
    """The headers of every response.

    Args:
        script_hashes: CSP sources of inline scripts that may run.
        tls: Whether this server speaks TLS itself.

    Returns:
        CSP Level 3, HSTS (RFC 6797) behind TLS, and what keeps frames, sniffing and referrers out.
    """
    policy = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "worker-src": "'self' blob:",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if tls:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req")


def _refuse_nul(scope: Scope) -> None:
    """No value of ours holds a NUL character, and PostgreSQL cannot store one."""
    if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
        raise Malformed("The address contains a NUL character.")


async def _answer(
    error: LeBureauError, request_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    response = JSONResponse(error.body(request_id), error.status)
    await response(scope, receive, send)
