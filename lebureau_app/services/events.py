"""What happened: written in the same transaction as the change, told to everybody after it.

The table is the truth; the bus only wakes those who listen. An event without an id is transient:
it is never stored and not given again to a client that comes back.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.models import Event, utc_now
from lebureau_app.services.access import Caller

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as listeners get it; `id` is None for a transient one."""

    type: str
    workspace_id: str | None
    desktop_id: str | None
    data: dict[str, Any]
    id: int | None = None

    def concerns(self, workspaces: Iterable[str]) -> bool:
        """Whether somebody with these workspaces may see it."""
        return self.workspace_id is None or self.workspace_id in workspaces


class Listener:
    """One listener's bounded queue; `overflowed` when it was too slow and lost something."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[Told] = asyncio.Queue(size)
        self.overflowed = False

    def put(self, told: Told) -> None:
        """Queue an event, or note that the listener is too slow."""
        try:
            self._queue.put_nowait(told)
        except asyncio.QueueFull:
            self.overflowed = True

    async def get(self) -> Told:
        """The next event."""
        return await self._queue.get()

    def drain(self) -> list[Told]:
        """Everything that waits now."""
        waiting = []
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        return waiting


class Bus:
    """Tells every listener of this process."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @asynccontextmanager
    async def subscribe(self, size: int = 1000) -> AsyncIterator[Listener]:
        """Listen for the length of the block."""
        listener = Listener(size)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, told: Told) -> None:
        """Tell everybody; nobody is waited for."""
        for listener in list(self._listeners):
            listener.put(told)


bus = Bus()


async def since(caller: Caller, last_id: int, limit: int = 1000) -> list[Told] | None:
    """What the caller missed after `last_id`, oldest first.

    Returns:
        None where that id, or what followed it, is no longer kept, or more than `limit` were
        missed: the client must read its lists again.
    """
    async with db.reading() as session:
        oldest, newest = (await session.exec(select(func.min(Event.id), func.max(Event.id)))).one()
        if last_id > (newest or 0) or (oldest is not None and last_id < oldest - 1):
            return None
        rows = await session.exec(
            select(Event).where(col(Event.id) > last_id).order_by(col(Event.id)).limit(limit + 1)
        )
        missed = [_told(row) for row in rows]
    if len(missed) > limit:
        return None
    return [told for told in missed if told.concerns(caller.roles)]


def emit(
    session: AsyncSession,
    kind: str,
    data: dict[str, Any],
    *,
    workspace_id: str | None = None,
    desktop_id: str | None = None,
) -> None:
    """Write an event into the transaction of the change that it tells of."""
    row = Event(type=kind, workspace_id=workspace_id, desktop_id=desktop_id, data=data)
    session.add(row)
    session.info.setdefault("events", []).append(row)


def tell(
    kind: str,
    data: dict[str, Any],
    *,
    workspace_id: str | None = None,
    desktop_id: str | None = None,
) -> None:
    """Tell a transient event: not stored, no id."""
    bus.publish(Told(kind, workspace_id, desktop_id, data))


async def forget_old() -> None:
    """Remove events that nobody can ask for any more."""
    async with db.writing() as session:
        await session.exec(delete(Event).where(col(Event.created_at) < utc_now() - KEPT))


def _told(row: Event) -> Told:
    return Told(row.type, row.workspace_id, row.desktop_id, row.data, row.id)


def _publish_committed(session: AsyncSession) -> None:
    for row in session.info.pop("events", []):
        bus.publish(_told(row))


db.after_commit(_publish_committed)
