"""The stream of everything that happens in the caller's workspaces."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from lebureau_app.api.dependencies import Reader, WorkspaceFilter
from lebureau_app.api.sse import frame, stream, tune_in
from lebureau_app.errors import Malformed, NotFound
from lebureau_app.services import events
from lebureau_app.services.access import Caller

router = APIRouter(prefix="/api", tags=["events"])

_LONGEST_ID = 18


@router.get("/events", response_class=StreamingResponse)
async def stream_events(
    caller: Reader,
    workspace_id: WorkspaceFilter = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Server-sent events; `Last-Event-ID` carries on where a stream broke off."""
    if workspace_id is not None and workspace_id not in caller.roles:
        raise NotFound("There is no such workspace.")
    return stream(_frames(caller, workspace_id, _sequence(last_event_id)))


async def _frames(
    caller: Caller, workspace_id: str | None, last_id: int | None
) -> AsyncIterator[bytes]:
    workspaces = list(caller.roles) if workspace_id is None else [workspace_id]
    async with events.bus.subscribe() as listener:
        yield b"retry: 2000\n: connected\n\n"
        replayed: set[int | None] = set()
        if last_id is not None:
            missed = await events.since(caller, last_id)
            if missed is None:
                yield frame("resync", {})
            for told in missed or []:
                replayed.add(told.id)
                if told.concerns(workspaces):
                    yield frame(told.type, told.data, told.id)
        async with aclosing(tune_in(caller, listener)) as heard:
            async for told in heard:
                if told is None:
                    yield b": still here\n\n"
                elif told.id is not None and told.id in replayed:
                    replayed.discard(told.id)
                elif told.concerns(workspaces):
                    yield frame(told.type, told.data, told.id)


def _sequence(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID):
        raise Malformed("Last-Event-ID is the number of an event.")
    return int(text)
