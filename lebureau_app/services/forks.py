"""Forks: new desktops from one as it is now."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app.errors import NameTaken
from lebureau_app.models import (
    ENDED,
    Conversation,
    Desktop,
    Message,
    RunStatus,
    SnapshotKind,
    Task,
    new_id,
)
from lebureau_app.providers.base import Fork
from lebureau_app.services import (
    desktop_state,
    hosts,
    intents,
    names,
    operations,
    snapshots,
)
from lebureau_app.services.access import Caller

MOST = 10
"""Desktops of one call."""


async def fork(
    caller: Caller, desktop_id: str, count: int = 1, name_prefix: str | None = None
) -> list[Desktop]:
    """Have new desktops made of one as it is now, each with an identity of its own.

    The original goes on after a moment's pause. What was said with its agent is said with theirs
    too; runs under way go on with the original only.

    Args:
        caller: Who wants it; an operator.
        desktop_id: The original.
        count: How many, 1 to `MOST`.
        name_prefix: Their names are this with a number; left out, it is the original's name.

    Raises:
        Invalid: The names cannot be used.
        Conflict: The original has no state that could be kept, or the provider cannot do that.
        NoCapacity: The host cannot carry so many.
    """
    caller.need_scope("write")
    original = await snapshots.read_original(caller, desktop_id)
    prefix = name_prefix or names.prefix_of(original.name)
    names.check_prefix(prefix)
    hosts.need(Fork, "be forked")
    await snapshots.refuse_without_room(original)
    await hosts.check(desktop_state.spec_of(original, ""), count)
    try:
        async with intents.changing(caller, desktop_id) as (session, desktop):
            return await _fork(session, caller, desktop, count, prefix)
    except IntegrityError as error:
        raise NameTaken(
            "Another desktop took one of the names just now.", hint="Try again."
        ) from error


async def _fork(
    session: AsyncSession, caller: Caller, original: Desktop, count: int, prefix: str
) -> list[Desktop]:
    snapshots.must_be_keepable(original)
    pending = await operations.pending(session, original.id)
    intents.refuse_if_going(pending)
    snapshot = snapshots.describe(original, SnapshotKind.FORK, caller)
    snapshot.name = f"Fork of {original.name}"[:100]
    session.add(snapshot)
    params = {"snapshot": snapshot.id}
    intents.enqueue(session, original, "fork", caller.email, params, first=not pending)
    free = await names.free(session, original.workspace_id, f"{prefix}-{{}}", count)
    children = [_child(original, name, snapshot.id, caller) for name in free]
    session.add_all(children)
    await session.flush()
    for child in children:
        operations.enqueue(session, child, "create", caller.email, params)
        desktop_state.emit(session, "desktop.created", child)
    await _hand_down_what_was_said(session, original, children)
    return children


def _child(original: Desktop, name: str, snapshot_id: str, caller: Caller) -> Desktop:
    child = Desktop(
        workspace_id=original.workspace_id,
        name=name,
        tier=original.tier,
        task=Task.CREATING,
        labels=dict(original.labels),
        provider=original.provider,
        image=original.image,
        agent=original.agent,
        vcpus=original.vcpus,
        memory=original.memory,
        disk=original.disk,
        provider_keys=original.provider_keys,
        hibernate_after=original.hibernate_after,
        idle_after=original.idle_after,
        parent_id=original.id,
        born_of=snapshot_id,
        created_by=caller.user_id,
    )
    child.secrets = desktop_state.new_secrets(child.id)
    return child


async def _hand_down_what_was_said(
    session: AsyncSession, original: Desktop, children: Sequence[Desktop]
) -> None:
    """Copy the conversations; their threads go on inside the children's agents, which know them.

    What still waits for the original's agent stays there.
    """
    conversations = await session.exec(
        select(Conversation)
        .where(Conversation.desktop_id == original.id)
        .order_by(col(Conversation.id))
    )
    threads = {said.id: [_thread(said, child) for child in children] for said in conversations}
    session.add_all(chain.from_iterable(threads.values()))
    await session.flush()
    messages = await session.exec(
        select(Message)
        .where(Message.desktop_id == original.id, Message.status != RunStatus.QUEUED)
        .order_by(col(Message.id))
    )
    copies = [
        {**_as_it_was(message), **_in(thread)}
        for message in messages
        for thread in threads[message.conversation_id]
    ]
    if copies:
        await session.exec(insert(Message), params=copies)


def _thread(said: Conversation, child: Desktop) -> Conversation:
    return Conversation(
        workspace_id=child.workspace_id,
        desktop_id=child.id,
        title=said.title,
        session=said.session or said.id,
        created_at=said.created_at,
        last_message_at=said.last_message_at,
    )


def _as_it_was(message: Message) -> dict[str, Any]:
    """A message's columns as a child knows it, whose agent ends the run that it inherits."""
    status = message.status if message.status in ENDED else RunStatus.ABORTED
    return {**message.model_dump(), "run_id": None, "status": status}


def _in(thread: Conversation) -> dict[str, Any]:
    """The columns of a message that are its thread's, and its own id."""
    return {
        "id": new_id("msg"),
        "desktop_id": thread.desktop_id,
        "conversation_id": thread.id,
    }
