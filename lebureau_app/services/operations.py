"""The journal: what is to be done to a desktop, step by step, and what came of it."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import Conflict, DesktopDestroyed, LeBureauError, NotFound
from lebureau_app.models import (
    Desktop,
    Operation,
    OperationStatus,
    Role,
    Snapshot,
    Status,
    Task,
    lights,
    utc_now,
)
from lebureau_app.services import desktop_state, events, snapshot_state
from lebureau_app.services.access import Caller, visible
from lebureau_app.services.idleness import hibernates_at
from lebureau_app.services.live import live
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page

LEASE = timedelta(seconds=20)
ACTIVE = (OperationStatus.QUEUED, OperationStatus.RUNNING)

TASKS: dict[str, Task | None] = {
    "create": Task.CREATING,
    "start": Task.STARTING,
    "stop": Task.STOPPING,
    "restart": Task.RESTARTING,
    "destroy": Task.DESTROYING,
    "reconfigure": Task.RECONFIGURING,
    "upgrade": Task.RECONFIGURING,
    "hibernate": Task.HIBERNATING,
    "snapshot": Task.SNAPSHOTTING,
    "restore": Task.RESTORING,
    "fork": Task.SNAPSHOTTING,
    "drop_snapshot": None,
}


class LeaseLost(Exception):
    """Somebody else works on this operation now: drop the result."""


async def list_operations(
    caller: Caller, desktop_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[Operation]:
    """The journal of one desktop, newest first."""
    caller.need_scope("read")
    query = select(Operation).where(Operation.desktop_id == desktop_id)
    async with db.reading() as session:
        await desktop_state.find(session, caller, desktop_id)
        return await page(session, query, Operation, limit=limit, cursor=cursor)


async def current(desktop_id: str) -> Operation | None:
    """What is being done to a desktop now, or else the last thing that failed."""
    async with db.reading() as session:
        query = select(Operation).where(Operation.desktop_id == desktop_id)
        last = (await session.exec(query.order_by(col(Operation.id).desc()))).first()
    return last if last and last.status in (*ACTIVE, OperationStatus.FAILED) else None


async def pending(session: AsyncSession, desktop_id: str) -> list[Operation]:
    """What is still to be done to a desktop and was not told to stop, oldest first."""
    query = (
        select(Operation)
        .where(
            Operation.desktop_id == desktop_id,
            col(Operation.status).in_(ACTIVE),
            col(Operation.cancel).is_(False),
        )
        .order_by(col(Operation.id))
    )
    return list(await session.exec(query))


async def busy_desktops() -> set[str]:
    """The desktops that something is being done to."""
    async with db.reading() as session:
        query = select(Operation.desktop_id).where(col(Operation.status).in_(ACTIVE))
        return set(await session.exec(query))


async def count_by_status() -> dict[str, int]:
    """How many operations there are of each status."""
    async with db.reading() as session:
        rows = await session.exec(select(Operation.status, func.count()).group_by(Operation.status))
        return dict(rows.all())


def enqueue(
    session: AsyncSession,
    desktop: Desktop,
    kind: str,
    actor: str,
    params: dict[str, Any] | None = None,
) -> Operation:
    """Write the intent, in the transaction of whoever has it.

    Args:
        session: The open transaction.
        desktop: Whom it concerns.
        kind: One of TASKS.
        actor: Who wants it: an email, or `engine`.
        params: What the kind needs.
    """
    operation = Operation(
        desktop_id=desktop.id,
        workspace_id=desktop.workspace_id,
        kind=kind,
        params=params or {},
        actor=actor,
    )
    session.add(operation)
    return operation


async def retry(caller: Caller, operation_id: str) -> Operation:
    """Carry on with a failed or cancelled operation, from the step where it ended.

    Raises:
        NotFound: No such operation for this caller.
        Conflict: It has not failed, or it is no longer the last one.
    """
    caller.need_scope("write")
    async with db.writing() as session:
        query = visible(select(Operation), Operation, caller).where(Operation.id == operation_id)
        operation = (await session.exec(query)).first()
        if operation is None:
            raise NotFound("There is no such operation.")
        caller.need_role(operation.workspace_id, Role.OPERATOR)
        desktop = await session.get_one(Desktop, operation.desktop_id)
        if desktop.status == Status.DESTROYED:
            raise DesktopDestroyed
        if operation.status in ACTIVE:
            return operation
        newest = await _newest(session, desktop.id)
        if operation.status == OperationStatus.DONE or operation.id != newest.id:
            raise Conflict(
                "Only the last operation of a desktop can be retried, and only if it failed.",
                hint="Start, stop or destroy the desktop instead.",
            )
        operation.status = OperationStatus.QUEUED
        operation.cancel = False
        operation.error = operation.ended_at = operation.deadline = None
        operation.not_before = utc_now()
        session.add(operation)
        desktop_state.apply(
            session, desktop, {"task": TASKS[operation.kind], "status_message": None}
        )
    live().wake()
    return operation


async def retry_by_engine(desktop: Desktop, kind: str) -> None:
    """Have the engine itself ask for an operation, unless one is under way."""
    async with db.writing() as session:
        if not await pending(session, desktop.id):
            enqueue(session, desktop, kind, "engine")
            fresh = await session.get_one(Desktop, desktop.id)
            desktop_state.apply(session, fresh, {"task": TASKS[kind]})


async def hibernate_if_idle(desktop_id: str, now: datetime) -> bool:
    """Have the engine hibernate a desktop whose time has come, unless something has happened.

    Returns:
        Whether it is to hibernate.
    """
    async with db.writing() as session:
        desktop = await session.get_one(Desktop, desktop_id, with_for_update=True)
        due = hibernates_at(desktop)
        if due is None or due > now or await pending(session, desktop_id):
            return False
        enqueue(session, desktop, "hibernate", "engine")
        desktop_state.apply(
            session,
            desktop,
            {"task": TASKS["hibernate"], "desired_status": Status.HIBERNATED},
        )
        return True


# Working on operations


async def claim(limit: int = 50) -> list[Operation]:
    """Take the operations that are due and that nobody works on, the oldest of each desktop.

    Returns:
        Them, each with a fresh `lock_token` and a lease that `renew` extends.
    """
    now = utc_now()
    taken = []
    async with db.writing() as session:
        active = select(Operation).where(col(Operation.status).in_(ACTIVE))
        seen: set[str] = set()
        for operation in await session.exec(active.order_by(col(Operation.id))):
            first = operation.desktop_id not in seen
            seen.add(operation.desktop_id)
            if not first or operation.not_before > now or len(taken) >= limit:
                continue
            if operation.lock_expires_at and operation.lock_expires_at > now:
                continue
            operation.lock_token = secrets.token_hex(8)
            operation.lock_expires_at = now + LEASE
            session.add(operation)
            taken.append(operation)
    return taken


async def release_all() -> None:
    """Forget every lease: for the start of the only server of a database."""
    async with db.writing() as session:
        await session.exec(update(Operation).values(lock_token=None, lock_expires_at=None))


async def renew(operation: Operation) -> None:
    """Extend the lease.

    Raises:
        LeaseLost: It is somebody else's by now.
    """
    async with db.writing() as session:
        held = await _held(session, operation)
        held.lock_expires_at = utc_now() + LEASE
        session.add(held)


async def hear(operation: Operation) -> None:
    """Take over what a person has said about it meanwhile: to stop, or how to go on."""
    async with db.reading() as session:
        fresh = await session.get(Operation, operation.id)
    operation.cancel = fresh is None or fresh.cancel
    operation.params = fresh.params if fresh else operation.params


async def record(
    operation: Operation,
    *,
    desktop: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Operation:
    """Write where an operation stands, and what that means for its desktop.

    Args:
        operation: As claimed; its token decides whether this still counts.
        desktop: Columns of the desktop to set in the same transaction.
        columns: Columns of the operation.

    Raises:
        LeaseLost: It is somebody else's by now.
    """
    async with db.writing() as session:
        held = await _held(session, operation)
        for column, value in columns.items():
            setattr(held, column, value)
        session.add(held)
        if desktop is not None:
            row = await session.get_one(Desktop, held.desktop_id)
            desktop_state.apply(session, row, desktop)
        return held


async def finish(
    operation: Operation,
    status: OperationStatus,
    *,
    error: LeBureauError | None = None,
    desktop: Mapping[str, Any] | None = None,
    destroyed: bool = False,
) -> None:
    """End an operation: its result and the desktop's new state in one transaction.

    Raises:
        LeaseLost: It is somebody else's by now.
    """
    async with db.writing() as session:
        held = await _held(session, operation)
        held.status = status
        held.ended_at = utc_now()
        held.lock_token = held.lock_expires_at = None
        held.error = error.body(held.id)["error"] if error else None
        session.add(held)
        row = await session.get_one(Desktop, held.desktop_id)
        if destroyed:
            desktop_state.gone(session, row)
            return
        await session.flush()
        following = await pending(session, row.id)
        task = TASKS[following[0].kind] if following else None
        desktop_state.apply(session, row, {**(desktop or {}), "task": task, "progress": None})


async def restored(operation: Operation, snapshot: Snapshot) -> None:
    """Write down that a desktop is what its snapshot was, and have it started if it ran then.

    Raises:
        LeaseLost: The operation is somebody else's by now.
    """
    async with db.writing() as session:
        held = await _held(session, operation)
        row = await session.get_one(Desktop, held.desktop_id)
        became = {
            "status": Status.STOPPED,
            "desired_status": Status.RUNNING if snapshot.memory else Status.STOPPED,
            **snapshot_state.caps(snapshot),
            "origin": "snapshot" if snapshot.memory else "boot",
            "origin_note": "",
            "identified": "",
            "boot": "",
            "readiness": lights(),
            "activity": "",
        }
        desktop_state.apply(session, row, became)
        following = [each.kind for each in await pending(session, row.id)]
        if snapshot.memory and "start" not in following:
            enqueue(session, row, "start", held.actor)


async def postpone(operation: Operation, until: datetime, attempt: int) -> None:
    """Let go of an operation until a later time."""
    await record(
        operation, not_before=until, attempt=attempt, lock_token=None, lock_expires_at=None
    )


def tell_progress(operation: Operation, progress: dict[str, Any]) -> None:
    """Tell listeners how an operation is getting on; nothing is stored."""
    events.tell(
        "operation.progress",
        {
            "operationId": operation.id,
            "desktopId": operation.desktop_id,
            "kind": operation.kind,
            **progress,
        },
        workspace_id=operation.workspace_id,
        desktop_id=operation.desktop_id,
    )


async def _held(session: AsyncSession, operation: Operation) -> Operation:
    query = select(Operation).where(
        Operation.id == operation.id, Operation.lock_token == operation.lock_token
    )
    held = (await session.exec(query)).first()
    if held is None or held.lock_token is None:
        raise LeaseLost
    return held


async def _newest(session: AsyncSession, desktop_id: str) -> Operation:
    query = select(Operation).where(Operation.desktop_id == desktop_id)
    return (await session.exec(query.order_by(col(Operation.id).desc()).limit(1))).one()
