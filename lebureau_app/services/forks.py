"""Forks: new desktops from one as it is now."""

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
    for child in children:
        session.add(child)
        await session.flush()
        await _hand_down_what_was_said(session, original, child)
        operations.enqueue(session, child, "create", caller.email, params)
        desktop_state.emit(session, "desktop.created", child)
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
    session: AsyncSession, original: Desktop, child: Desktop
) -> None:
    """Copy the conversations; their threads go on inside the child's agent, which knows them."""
    query = select(Conversation).where(Conversation.desktop_id == original.id)
    for said in await session.exec(query.order_by(col(Conversation.id))):
        copy = Conversation(
            workspace_id=child.workspace_id,
            desktop_id=child.id,
            title=said.title,
            session=said.session or said.id,
            created_at=said.created_at,
            last_message_at=said.last_message_at,
        )
        session.add(copy)
        await session.flush()
        await _copy_messages(session, said, copy)


async def _copy_messages(session: AsyncSession, source: Conversation, copy: Conversation) -> None:
    """Copy what was said; the child's agent ends the run that it inherits, and what waits for the
    original's stays there."""
    query = select(Message).where(
        Message.conversation_id == source.id, Message.status != RunStatus.QUEUED
    )
    for message in await session.exec(query.order_by(col(Message.id))):
        session.add(
            Message(
                workspace_id=copy.workspace_id,
                desktop_id=copy.desktop_id,
                conversation_id=copy.id,
                role=message.role,
                text=message.text,
                tool_calls=message.tool_calls,
                status=message.status if message.status in ENDED else RunStatus.ABORTED,
                usage=message.usage,
                created_at=message.created_at,
            )
        )
