"""Conversations: what people said, the runs that it set off, and what the agents answered."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import (
    ChannelNotReady,
    DesktopDestroyed,
    DesktopNotRunning,
    Invalid,
    LeBureauError,
    NotFound,
    TooLarge,
)
from lebureau_app.models import (
    ENDED,
    Conversation,
    Desktop,
    Message,
    Role,
    Run,
    RunStatus,
    Status,
    utc_now,
)
from lebureau_app.services import desktop_state, events, present, waking
from lebureau_app.services.access import Caller, visible
from lebureau_app.services.live import live
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page

LONGEST = 100_000
_TITLE = 80


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was taken, with its conversation and the run that it set off."""

    message: Message
    conversation: Conversation
    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        reply: What the agent answered, as far as it got.
        cost: In USD.
    """

    status: RunStatus
    reply: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    error: LeBureauError | None = None


# Reading


async def messages(
    caller: Caller,
    *,
    desktop_id: str | None = None,
    conversation_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Message]:
    """Stored messages, newest first, of a desktop or of one conversation.

    Raises:
        NotFound: The desktop or the conversation is not the caller's.
    """
    caller.need_scope("read")
    query = visible(select(Message), Message, caller)
    async with db.reading() as session:
        if desktop_id is not None:
            await desktop_state.find(session, caller, desktop_id)
            query = query.where(Message.desktop_id == desktop_id)
        if conversation_id is not None:
            await _find(session, caller, conversation_id)
            query = query.where(Message.conversation_id == conversation_id)
        return await page(session, query, Message, limit=limit, cursor=cursor)


async def list_conversations(
    caller: Caller,
    *,
    desktop_id: str | None = None,
    workspace_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Conversation]:
    """The caller's conversations, newest first."""
    caller.need_scope("read")
    query = visible(select(Conversation), Conversation, caller)
    if desktop_id:
        query = query.where(Conversation.desktop_id == desktop_id)
    if workspace_id:
        query = query.where(Conversation.workspace_id == workspace_id)
    async with db.reading() as session:
        return await page(session, query, Conversation, limit=limit, cursor=cursor)


async def get_run(caller: Caller, run_id: str) -> Run:
    """One run.

    Raises:
        NotFound: There is none that the caller may see.
    """
    caller.need_scope("read")
    async with db.reading() as session:
        query = visible(select(Run), Run, caller).where(Run.id == run_id)
        run = (await session.exec(query)).first()
    if run is None:
        raise NotFound("There is no such run.")
    return run


async def wait_for_run(caller: Caller, run_id: str, seconds: float) -> Run:
    """The run once it has ended, or as it is when the time is over."""
    async with events.bus.subscribe() as listener:
        run = await get_run(caller, run_id)
        try:
            async with asyncio.timeout(seconds):
                while run.status not in ENDED:
                    told = await listener.get()
                    if told.type == "run.updated" and told.data["id"] == run_id:
                        run = await get_run(caller, run_id)
        except TimeoutError:
            pass
    return await get_run(caller, run_id)


# Changing, for callers


async def send(
    caller: Caller, desktop_id: str, text: str, conversation_id: str | None = None
) -> Sent:
    """Give a desktop's agent a message; it waits its turn where the agent is busy or not ready.

    A hibernated desktop is woken by it.

    Args:
        caller: Who says it.
        desktop_id: Whose agent.
        text: What is said; a leading `/` is text like any other.
        conversation_id: Which thread; left out, the desktop's latest goes on.

    Raises:
        DesktopNotRunning: The desktop does not run.
        ChannelNotReady: It was made without an agent.
        Invalid: There is nothing in the message.
    """
    caller.need_scope("write")
    if not text.strip():
        raise Invalid("The message is empty.", fields={"message": "Say something."})
    if len(text) > LONGEST:
        raise TooLarge(
            f"A message has at most {LONGEST} characters.", hint="Put the text into a file."
        )
    async with db.writing() as session:
        desktop = await desktop_state.find(session, caller, desktop_id)
        caller.need_role(desktop.workspace_id, Role.OPERATOR)
        _check_can_listen(desktop)
        conversation = await _conversation(session, caller, desktop, conversation_id, text)
        common: dict[str, Any] = {
            "workspace_id": desktop.workspace_id,
            "desktop_id": desktop.id,
            "conversation_id": conversation.id,
        }
        run = Run(**common)
        message = Message(**common, run_id=run.id, role="user", text=text, status=RunStatus.QUEUED)
        conversation.last_message_at = utc_now()
        session.add_all([conversation, run, message])
        _emit_message(session, message)
        _emit_run(session, run)
        desktop_state.apply(session, desktop, {"last_active_at": utc_now(), "working": True})
        await waking.wake(session, desktop, caller.email)
    live().wake()
    return Sent(message, conversation, run)


async def abort(caller: Caller, desktop_id: str) -> Run | None:
    """Stop the run that is under way, or else the oldest that waits.

    Returns:
        That run, or None where there is none.
    """
    caller.need_scope("write")
    async with db.writing() as session:
        desktop = await desktop_state.find(session, caller, desktop_id)
        caller.need_role(desktop.workspace_id, Role.OPERATOR)
        run = await _first(session, desktop_id, RunStatus.RUNNING, RunStatus.WAITING_APPROVAL)
        run = run or await _first(session, desktop_id, RunStatus.QUEUED)
        if run is None:
            return None
        if run.status == RunStatus.QUEUED:
            await _end(session, run, Ended(RunStatus.ABORTED))
        else:
            run.abort = True
            session.add(run)
    live().wake()
    return run


# Changing, for the engine


async def under_way(desktop_id: str) -> Run | None:
    """The run that the agent is at, if any."""
    async with db.reading() as session:
        return await _first(session, desktop_id, RunStatus.RUNNING, RunStatus.WAITING_APPROVAL)


async def thread_of(run: Run) -> str:
    """The key of a run's thread inside the agent; a fork goes on with that of its original."""
    async with db.reading() as session:
        conversation = await session.get_one(Conversation, run.conversation_id)
    return conversation.session or conversation.id


async def take_next(desktop_id: str) -> tuple[Run, str] | None:
    """Begin the oldest run that waits.

    Returns:
        The run, now `running`, and the text of its message; None where nothing waits.
    """
    async with db.writing() as session:
        run = await _first(session, desktop_id, RunStatus.QUEUED)
        if run is None:
            return None
        run.status = RunStatus.RUNNING
        run.started_at = utc_now()
        session.add(run)
        _emit_run(session, run)
        said = await _message_of(session, run, "user")
        said.status = RunStatus.DONE
        session.add(said)
        return run, said.text


async def give_back(run_id: str) -> None:
    """Put a run that the agent never got back to those that wait."""
    async with db.writing() as session:
        run = await session.get_one(Run, run_id)
        if run.status == RunStatus.RUNNING:
            run.status, run.started_at = RunStatus.QUEUED, None
            session.add(run)
            _emit_run(session, run)


async def wants_abort(run_id: str) -> bool:
    """Whether a person asked to stop the run."""
    async with db.reading() as session:
        return (await session.get_one(Run, run_id)).abort


async def keep_so_far(run_id: str, text: str, tool_calls: list[dict[str, Any]]) -> None:
    """Keep what the agent has said and done so far, in case nobody hears the rest."""
    async with db.writing() as session:
        run = await session.get_one(Run, run_id)
        if run.status in ENDED:
            return
        answer = await _answer(session, run)
        answer.text, answer.tool_calls = text, tool_calls
        session.add(answer)


async def end(run_id: str, ended: Ended, tool_calls: list[dict[str, Any]] | None = None) -> None:
    """Write how a run ended; a run that has ended already stays as it is."""
    async with db.writing() as session:
        run = await session.get_one(Run, run_id)
        if run.status not in ENDED:
            await _end(session, run, ended, tool_calls)


async def end_all(desktop_id: str, ended: Ended, *, queued: bool) -> None:
    """End the run under way, and with `queued` those that wait too."""
    statuses = [RunStatus.RUNNING, RunStatus.WAITING_APPROVAL]
    if queued:
        statuses.append(RunStatus.QUEUED)
    async with db.writing() as session:
        while run := await _first(session, desktop_id, *statuses):
            await _end(session, run, ended)
            await session.flush()


# Private


def _check_can_listen(desktop: Desktop) -> None:
    if desktop.status == Status.DESTROYED:
        raise DesktopDestroyed
    if desktop.status not in (Status.RUNNING, Status.HIBERNATED):
        raise DesktopNotRunning(
            f"This desktop is {desktop.status}: its agent cannot hear you.",
            hint="Start the desktop, then send the message again.",
        )
    if desktop.agent == "none":
        raise ChannelNotReady(
            "This desktop was made without an agent.",
            hint="Use its screen, terminal or exec, or create a desktop with an agent.",
        )


async def _conversation(
    session: AsyncSession,
    caller: Caller,
    desktop: Desktop,
    conversation_id: str | None,
    text: str,
) -> Conversation:
    if conversation_id is not None:
        found = await _find(session, caller, conversation_id)
        if found.desktop_id != desktop.id:
            raise NotFound("There is no such conversation with this desktop.")
        return found
    query = select(Conversation).where(Conversation.desktop_id == desktop.id)
    latest = (await session.exec(query.order_by(col(Conversation.id).desc()))).first()
    title = " ".join(text.split())[:_TITLE]
    return latest or Conversation(
        workspace_id=desktop.workspace_id, desktop_id=desktop.id, title=title
    )


async def _find(session: AsyncSession, caller: Caller, conversation_id: str) -> Conversation:
    query = visible(select(Conversation), Conversation, caller)
    found = (await session.exec(query.where(Conversation.id == conversation_id))).first()
    if found is None:
        raise NotFound("There is no such conversation.")
    return found


async def _first(session: AsyncSession, desktop_id: str, *statuses: RunStatus) -> Run | None:
    query = select(Run).where(Run.desktop_id == desktop_id, col(Run.status).in_(statuses))
    return (await session.exec(query.order_by(col(Run.id)))).first()


async def _message_of(session: AsyncSession, run: Run, role: str) -> Message:
    query = select(Message).where(Message.run_id == run.id, Message.role == role)
    return (await session.exec(query)).one()


async def _answer(session: AsyncSession, run: Run) -> Message:
    query = select(Message).where(Message.run_id == run.id, Message.role == "assistant")
    return (await session.exec(query)).first() or Message(
        workspace_id=run.workspace_id,
        desktop_id=run.desktop_id,
        conversation_id=run.conversation_id,
        run_id=run.id,
        role="assistant",
        status=RunStatus.RUNNING,
    )


async def _end(
    session: AsyncSession,
    run: Run,
    ended: Ended,
    tool_calls: list[dict[str, Any]] | None = None,
) -> None:
    said = await _message_of(session, run, "user")
    if said.status == RunStatus.QUEUED:
        said.status = ended.status
        session.add(said)
    used = present.usage(ended.input_tokens, ended.output_tokens, ended.cost)
    answer = await _answer(session, run)
    answer.text = ended.reply or answer.text
    answer.tool_calls = tool_calls if tool_calls is not None else answer.tool_calls
    answer.status = ended.status
    answer.usage = used
    if answer.text or answer.tool_calls:
        session.add(answer)
        _emit_message(session, answer)
    run.status = ended.status
    run.usage = used
    run.reply = answer.text or None
    run.error = ended.error.body(run.id)["error"] if ended.error else None
    run.ended_at = utc_now()
    session.add(run)
    _emit_run(session, run)
    await _rest_if_done(session, run.desktop_id)


async def _rest_if_done(session: AsyncSession, desktop_id: str) -> None:
    """Write down that an agent is no longer at work, once no run waits or is under way."""
    query = select(Run.id).where(Run.desktop_id == desktop_id, col(Run.status).not_in(ENDED))
    if (await session.exec(query.limit(1))).first() is None:
        desktop = await session.get_one(Desktop, desktop_id)
        desktop_state.apply(session, desktop, {"working": False})


def _emit_message(session: AsyncSession, message: Message) -> None:
    events.emit(
        session,
        "message.created",
        present.message(message),
        workspace_id=message.workspace_id,
        desktop_id=message.desktop_id,
    )


def _emit_run(session: AsyncSession, run: Run) -> None:
    events.emit(
        session,
        "run.updated",
        present.run(run),
        workspace_id=run.workspace_id,
        desktop_id=run.desktop_id,
    )
