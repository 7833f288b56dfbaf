"""Talking to the agents: chat, runs, messages, conversations."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    DEFAULT_LIMIT,
    Cursor,
    DesktopId,
    Limit,
    Reader,
    WorkspaceFilter,
    Writer,
    well_formed,
)
from lebureau_app.api.idempotent import Key, create_once, response
from lebureau_app.api.listing import listing
from lebureau_app.api.schemas import Chat, Empty
from lebureau_app.api.shapes import shows
from lebureau_app.api.sse import frame, resumed, stream, tune_in, wants_events
from lebureau_app.models import ENDED
from lebureau_app.services import conversations, events, present
from lebureau_app.services.access import Caller
from lebureau_app.services.events import Told
from lebureau_app.services.idempotency import Answer

router = APIRouter(prefix="/api", tags=["conversations"])


@router.post(
    "/desktops/{desktop_id}/chat",
    status_code=202,
    responses=shows(shapes.Taken) | shows(shapes.Taken, 202),
)
async def chat(
    request: Request, caller: Writer, desktop_id: DesktopId, payload: Chat, key: Key = None
) -> Response:
    """Give the agent a message; a hibernated desktop wakes for it.

    With `wait` the answer is held until the run has ended (200, with `run`) or the time is over;
    with `Accept: text/event-stream` the run's events are the answer.
    """

    async def send() -> Answer:
        sent = await conversations.send(
            caller, desktop_id, payload.message, payload.conversation_id
        )
        body = {
            "message": present.message(sent.message),
            "conversationId": sent.conversation.id,
            "runId": sent.run.id,
        }
        return Answer(202, body)

    async def send_once() -> Answer:
        return await create_once(request, caller, key, payload, send)

    if wants_events(request):
        caller.need_scope("read")
        frames = _run_frames(caller, send_once)
        return stream(resumed(await anext(frames), frames))
    answer = await send_once()
    if payload.wait:
        run = await conversations.wait_for_run(caller, answer.body["runId"], payload.wait)
        status = 200 if run.status in ENDED else 202
        return JSONResponse({**answer.body, "run": present.run(run)}, status)
    return response(answer)


@router.post(
    "/desktops/{desktop_id}/chat/abort", status_code=202, responses=shows(shapes.Aborted, 202)
)
async def abort(
    caller: Writer, desktop_id: DesktopId, payload: Empty | None = None
) -> dict[str, Any]:
    """Stop the run that is under way; `run` is null where there is none."""
    run = await conversations.abort(caller, desktop_id)
    return {"run": present.run(run) if run else None}


@router.get("/runs/{run_id}", responses=shows(shapes.Run))
async def get_run(caller: Reader, run_id: str) -> dict[str, Any]:
    """One run."""
    return present.run(await conversations.get_run(caller, well_formed(run_id)))


@router.get("/desktops/{desktop_id}/messages", responses=shows(shapes.Listing[shapes.Message]))
async def list_messages_of_desktop(
    caller: Reader, desktop_id: DesktopId, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """What was said with a desktop's agent, newest first; also of destroyed desktops."""
    page = await conversations.messages(caller, desktop_id=desktop_id, limit=limit, cursor=cursor)
    return listing(page, present.message)


@router.get("/conversations", responses=shows(shapes.Listing[shapes.Conversation]))
async def list_conversations(
    caller: Reader,
    workspace_id: WorkspaceFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The caller's conversations, newest first."""
    page = await conversations.list_conversations(
        caller, workspace_id=workspace_id, limit=limit, cursor=cursor
    )
    return listing(page, present.conversation)


@router.get(
    "/conversations/{conversation_id}/messages", responses=shows(shapes.Listing[shapes.Message])
)
async def list_messages(
    caller: Reader, conversation_id: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> dict[str, Any]:
    """One conversation, newest first."""
    page = await conversations.messages(
        caller, conversation_id=well_formed(conversation_id), limit=limit, cursor=cursor
    )
    return listing(page, present.message)


async def _run_frames(
    caller: Caller, send: Callable[[], Awaitable[Answer]]
) -> AsyncGenerator[bytes]:
    """Send a message, then give the events of its run until it has ended.

    Listening begins before sending, so that nothing is missed. The first frame says that the
    message was taken; what is wrong with it is raised before that.
    """
    async with events.bus.subscribe() as listener:
        run_id = (await send()).body["runId"]
        yield b": taken\n\n"
        run = await conversations.get_run(caller, run_id)
        if run.status in ENDED:
            for told in listener.drain():
                if _is_of(told, run_id) and not _is_end(told):
                    yield frame(told.type, told.data, told.id)
            yield frame("run.updated", present.run(run))
            return
        async with aclosing(tune_in(caller, listener)) as heard:
            async for told in heard:
                if told is None:
                    yield b": still working\n\n"
                elif told.type == "resync":
                    run = await conversations.get_run(caller, run_id)
                    yield frame("resync", {})
                    yield frame("run.updated", present.run(run))
                    if run.status in ENDED:
                        return
                elif _is_of(told, run_id):
                    yield frame(told.type, told.data, told.id)
                    if _is_end(told):
                        return


def _is_of(told: Told, run_id: str) -> bool:
    return (told.data.get("id") if told.type == "run.updated" else told.data.get("runId")) == run_id


def _is_end(told: Told) -> bool:
    return told.type == "run.updated" and told.data["status"] in ENDED
