"""Server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from lebureau_app.gateway.live import live_sockets
from lebureau_app.services.access import Caller
from lebureau_app.services.events import Listener, Told

QUIET = 10.0
"""Seconds without an event after which a comment keeps the stream alive."""


def wants_events(request: Request) -> bool:
    """Whether the client asks for a stream."""
    return "text/event-stream" in request.headers.get("accept", "")


def stream(frames: AsyncIterator[bytes]) -> StreamingResponse:
    """Frames as a response that nothing on the way may keep back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


def frame(kind: str, data: Any, sequence: int | None = None) -> bytes:
    """One event; a transient one has no `sequence`."""
    line = "" if sequence is None else f"id: {sequence}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{line}event: {kind}\ndata: {text}\n\n".encode()


async def resumed(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """A stream whose first frame has been waited for already."""
    async with aclosing(rest):
        yield first
        async for each in rest:
            yield each


async def tune_in(caller: Caller, listener: Listener) -> AsyncGenerator[Told | None]:
    """What a listener hears, until the caller is signed out.

    Yields:
        Events; None after a quiet while; `resync` where the client was too slow for some.
    """
    with live_sockets.register(
        user_id=caller.user_id, session_id=caller.session_id, api_key_id=caller.api_key_id
    ) as live:
        signed_out = asyncio.ensure_future(live.closed())
        heard = asyncio.ensure_future(listener.get())
        try:
            while True:
                waiting = {signed_out, heard}
                await asyncio.wait(waiting, timeout=QUIET, return_when=asyncio.FIRST_COMPLETED)
                if signed_out.done():
                    return
                if not heard.done():
                    yield None
                    continue
                told = heard.result()
                if listener.overflowed:
                    listener.drain()
                    listener.overflowed = False
                    told = Told("resync", None, None, {})
                heard = asyncio.ensure_future(listener.get())
                yield told
        finally:
            signed_out.cancel()
            heard.cancel()
