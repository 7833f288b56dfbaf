"""What somebody wants done to a desktop: the transaction in which it is written down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import Conflict, DesktopBusy, DesktopDestroyed
from lebureau_app.models import Desktop, Operation, Role, Status
from lebureau_app.services import desktop_state, operations
from lebureau_app.services.access import Caller
from lebureau_app.services.live import live

_DECIDING = {"create", "start", "stop", "restart", "hibernate", "restore", "destroy"}


@asynccontextmanager
async def changing(caller: Caller, desktop_id: str) -> AsyncIterator[tuple[AsyncSession, Desktop]]:
    """A transaction on one living desktop that the caller may operate; wakes the engine after.

    Raises:
        DesktopNotFound: It is not the caller's.
        Forbidden: The caller may only look.
        DesktopDestroyed: It is gone.
    """
    caller.need_scope("write")
    async with db.writing() as session:
        desktop = await desktop_state.find(session, caller, desktop_id)
        may_operate(caller, desktop)
        yield session, desktop
    live().wake()


def may_operate(caller: Caller, desktop: Desktop) -> None:
    """Refuse who may only look, and what is gone.

    Raises:
        Forbidden: The caller may only look.
        DesktopDestroyed: The desktop is gone.
    """
    caller.need_role(desktop.workspace_id, Role.OPERATOR)
    if desktop.status == Status.DESTROYED:
        raise DesktopDestroyed


def enqueue(
    session: AsyncSession,
    desktop: Desktop,
    kind: str,
    actor: str,
    params: dict[str, Any] | None = None,
    *,
    first: bool = True,
) -> None:
    """Write an operation into the journal, and show it.

    Args:
        session: The open transaction.
        desktop: Whom it concerns.
        kind: One of `operations.TASKS`.
        actor: Who wants it.
        params: What the kind needs.
        first: Nothing that shows is to be done before it.
    """
    operations.enqueue(session, desktop, kind, actor, params)
    if first or desktop.task is None:
        desktop.task = operations.TASKS[kind]
        desktop.status_message = None
    updated(session, desktop)


def updated(session: AsyncSession, desktop: Desktop) -> None:
    """Write a desktop with the event that tells it."""
    session.add(desktop)
    desktop_state.emit(session, "desktop.updated", desktop)


def supersede(session: AsyncSession, pending: list[Operation]) -> None:
    """Have operations stop where they are; a snapshot that is going goes."""
    for operation in pending:
        if operation.kind != "drop_snapshot":
            operation.cancel = True
            session.add(operation)


def deciding(pending: list[Operation]) -> Operation | None:
    """The last of some operations that decides whether the desktop runs after them."""
    return next((each for each in reversed(pending) if each.kind in _DECIDING), None)


def refuse_if_busy(pending: list[Operation]) -> None:
    """Refuse a desktop that something is being done to; a snapshot may go meanwhile.

    Raises:
        DesktopBusy: Something is.
    """
    if any(each.kind != "drop_snapshot" for each in pending):
        raise DesktopBusy


def refuse_if_going(pending: list[Operation]) -> None:
    """Refuse a desktop that is being destroyed.

    Raises:
        Conflict: It is.
    """
    if any(each.kind == "destroy" for each in pending):
        raise Conflict(
            "This desktop is being destroyed.", hint="Create a new one; the conversation is kept."
        )
