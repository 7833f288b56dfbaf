"""Bodies of requests: read whole before anything is done, and never more than allowed."""

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from lebureau_app.errors import TooLarge

MOST = 1 << 20
"""Bytes."""

OURS = ("/api/", "/auth/", "/ws/")
"""Where our routes are; everything else is a page."""


async def bounded(scope: Scope, receive: Receive) -> Receive:
    """Read the body of a request to one of our routes.

    Args:
        scope: The request.
        receive: Where its body comes from.

    Returns:
        A channel that gives the body again in one piece.

    Raises:
        TooLarge: It is longer than allowed.
    """
    if scope["type"] != "http" or not scope["path"].startswith(OURS):
        return receive
    told = Headers(scope=scope).get("content-length", "")
    if told.isdigit() and int(told[:20]) > MOST:
        raise _too_large()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return _channel(message, receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST:
            raise _too_large()
    return _channel({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


def _channel(first: Message, rest: Receive) -> Receive:
    waiting = [first]

    async def receive() -> Message:
        return waiting.pop() if waiting else await rest()

    return receive


def _too_large() -> TooLarge:
    return TooLarge(f"A request's body has at most {MOST} bytes.")
