"""Snapshots: what a desktop was, kept to go back to."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from lebureau_app import db
from lebureau_app.errors import Conflict, LeBureauError, NotFound, TooManySnapshots
from lebureau_app.models import Desktop, Snapshot, SnapshotKind, SnapshotStatus, Status
from lebureau_app.providers.base import Snapshots
from lebureau_app.services import (
    desktop_state,
    hosts,
    intents,
    operations,
    pictures,
    snapshot_state,
)
from lebureau_app.services.access import Caller, visible
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page

MOST = 20
"""Snapshots of one desktop, manual and automatic together."""

AUTOMATIC_KEPT = 3

_KEPT = (SnapshotStatus.CREATING, SnapshotStatus.READY)
_KEEPABLE = (Status.RUNNING, Status.STOPPED, Status.HIBERNATED)


# Reading


async def list_snapshots(
    caller: Caller, desktop_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[Snapshot]:
    """The snapshots of a desktop, newest first."""
    caller.need_scope("read")
    async with db.reading() as session:
        await desktop_state.find(session, caller, desktop_id)
        return await page(session, _of(desktop_id), Snapshot, limit=limit, cursor=cursor)


async def picture(caller: Caller, desktop_id: str, snapshot_id: str) -> bytes:
    """What was on the screen when a snapshot was taken, as PNG.

    Raises:
        NotFound: There is no such snapshot, or no picture of it.
    """
    caller.need_scope("read")
    async with db.reading() as session:
        await _find(session, caller, desktop_id, snapshot_id)
    png = await pictures.last(snapshot_id)
    if png is None:
        raise NotFound("There is no picture of this snapshot.")
    return png


# Changing


async def take(caller: Caller, desktop_id: str, name: str | None = None) -> Snapshot:
    """Keep a desktop as it is now; returns at once.

    Args:
        caller: Who wants it; an operator.
        desktop_id: Which desktop.
        name: For people; left out, one is made up.

    Raises:
        Conflict: The desktop is not in a state that can be kept.
        TooManySnapshots: There are twenty already.
        NoCapacity: The host may not have the disk for it.
    """
    caller.need_scope("write")
    await refuse_without_room(await read_original(caller, desktop_id))
    async with intents.changing(caller, desktop_id) as (session, desktop):
        must_be_keepable(desktop)
        pending = await operations.pending(session, desktop_id)
        intents.refuse_if_going(pending)
        kept = await _kept(session, desktop_id)
        if len(kept) >= MOST:
            raise TooManySnapshots(f"This desktop has {MOST} snapshots already.")
        snapshot = describe(desktop, SnapshotKind.MANUAL, caller)
        snapshot.name = name or _free_name(kept)
        _enqueue(session, desktop, snapshot, caller, first=not pending)
    return snapshot


async def restore(caller: Caller, desktop_id: str, snapshot_id: str) -> Desktop:
    """Make a desktop what it was; what it is now is kept as a snapshot first, if there is room.

    Raises:
        NotFound: There is no such snapshot of this desktop.
        Conflict: The snapshot is not ready.
        DesktopBusy: Something else is being done to the desktop.
    """
    caller.need_scope("write")
    before = await read_original(caller, desktop_id)
    room = await _has_room(before)
    async with intents.changing(caller, desktop_id) as (session, desktop):
        snapshot = await _find(session, caller, desktop_id, snapshot_id)
        _must_be_ready(snapshot)
        pending = await operations.pending(session, desktop_id)
        if pending and (pending[-1].kind, pending[-1].params.get("snapshot")) == (
            "restore",
            snapshot_id,
        ):
            return desktop
        intents.refuse_if_going(pending)
        intents.refuse_if_busy(pending)
        params = {"snapshot": snapshot_id}
        if room and desktop.status in _KEEPABLE and desktop.ref:
            note = f"Before restoring {snapshot.name}"
            undo = await keep_automatically(session, desktop, note, caller, spared=snapshot_id)
            params |= {"undo": undo.id} if undo else {}
        intents.enqueue(session, desktop, "restore", caller.email, params, first=False)
    return desktop


async def delete(caller: Caller, desktop_id: str, snapshot_id: str) -> None:
    """Remove a snapshot; what was born of it lives on.

    Raises:
        NotFound: There is no such snapshot of this desktop.
        Conflict: It is being taken or restored.
    """
    caller.need_scope("write")
    async with intents.changing(caller, desktop_id) as (session, desktop):
        snapshot = await _find(session, caller, desktop_id, snapshot_id)
        if snapshot.status == SnapshotStatus.DELETING:
            return
        pending = await operations.pending(session, desktop_id)
        if any(snapshot_id in each.params.values() for each in pending):
            raise Conflict(
                "This snapshot is in use right now.", hint="Wait until that is done, or cancel it."
            )
        _drop(session, desktop, snapshot, caller)


async def keep_automatically(
    session: AsyncSession, desktop: Desktop, note: str, caller: Caller, *, spared: str = ""
) -> Snapshot | None:
    """Take the snapshot that undoes what follows; of the automatic ones only the newest are kept.

    Args:
        session: The open transaction of the change that follows.
        desktop: As it is before that change.
        note: What follows, for a person.
        caller: Who wants it.
        spared: The automatic snapshot that must be kept, whatever its age.

    Returns:
        None where the desktop has no room for one more beside those that people took.
    """
    kept = await _kept(session, desktop.id)
    automatic = [each for each in kept if each.kind == SnapshotKind.AUTOMATIC]
    going = [each for each in automatic[AUTOMATIC_KEPT - 1 :] if each.id != spared]
    if len(kept) - len(going) >= MOST:
        return None
    snapshot = describe(desktop, SnapshotKind.AUTOMATIC, caller)
    snapshot.name = snapshot.note = note[:100]
    _enqueue(session, desktop, snapshot, caller)
    for each in going:
        if each.status == SnapshotStatus.READY:
            _drop(session, desktop, each, caller)
    return snapshot


# What forks and other changes need as well


async def read_original(caller: Caller, desktop_id: str) -> Desktop:
    """The desktop that is to be kept, for what must be asked before the transaction.

    Raises:
        DesktopNotFound: It is not the caller's.
        Forbidden: The caller may only look.
        DesktopDestroyed: It is gone.
    """
    async with db.reading() as session:
        desktop = await desktop_state.find(session, caller, desktop_id)
    intents.may_operate(caller, desktop)
    return desktop


async def refuse_without_room(desktop: Desktop) -> None:
    """Refuse early what the provider or the host cannot keep.

    Raises:
        Conflict: The provider keeps no snapshots.
        NoCapacity: The host may not have the disk for it.
    """
    hosts.need(Snapshots, "be kept as snapshots")
    await hosts.check_disk(desktop.memory if desktop.status == Status.RUNNING else 0)


def must_be_keepable(desktop: Desktop) -> None:
    """Refuse a desktop that has no state to keep.

    Raises:
        Conflict: It is being made, was never made, or has failed.
    """
    if desktop.status in _KEEPABLE and not desktop.ref:
        raise Conflict("This desktop has never run: there is nothing to keep.", hint="Start it.")
    if desktop.status not in _KEEPABLE:
        raise Conflict(
            f"A desktop that is in the state {desktop.status} cannot be kept.",
            hint="Start or stop it first, then try again.",
        )


def describe(desktop: Desktop, kind: SnapshotKind, caller: Caller) -> Snapshot:
    """The row of a snapshot that is to be taken of a desktop as it is now."""
    return Snapshot(
        workspace_id=desktop.workspace_id,
        desktop_id=desktop.id,
        name="",
        kind=kind,
        memory=desktop.status != Status.STOPPED,
        tier=desktop.tier,
        vcpus=desktop.vcpus,
        memory_size=desktop.memory,
        disk_size=desktop.disk,
        image=desktop.image,
        created_by=caller.user_id,
    )


# Private


def _of(desktop_id: str) -> SelectOfScalar[Snapshot]:
    return select(Snapshot).where(
        Snapshot.desktop_id == desktop_id, Snapshot.kind != SnapshotKind.FORK
    )


async def _find(
    session: AsyncSession, caller: Caller, desktop_id: str, snapshot_id: str
) -> Snapshot:
    await desktop_state.find(session, caller, desktop_id)
    query = visible(_of(desktop_id), Snapshot, caller).where(Snapshot.id == snapshot_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("There is no such snapshot of this desktop.")
    return found


async def _kept(session: AsyncSession, desktop_id: str) -> Sequence[Snapshot]:
    """What counts, newest first."""
    query = _of(desktop_id).where(col(Snapshot.status).in_(_KEPT))
    return list(await session.exec(query.order_by(col(Snapshot.id).desc())))


async def _has_room(desktop: Desktop) -> bool:
    try:
        await refuse_without_room(desktop)
    except LeBureauError:
        return False
    return True


def _must_be_ready(snapshot: Snapshot) -> None:
    if snapshot.status != SnapshotStatus.READY:
        raise Conflict(
            f"This snapshot cannot be restored: it is {snapshot.status}.",
            hint="Choose one that is ready.",
        )


def _free_name(kept: Sequence[Snapshot]) -> str:
    taken = {snapshot.name for snapshot in kept}
    return next(
        name
        for name in (f"Snapshot {number}" for number in range(1, MOST + 2))
        if name not in taken
    )


def _enqueue(
    session: AsyncSession,
    desktop: Desktop,
    snapshot: Snapshot,
    caller: Caller,
    *,
    first: bool = True,
) -> None:
    session.add(snapshot)
    snapshot_state.emit(session, "snapshot.updated", snapshot)
    params = {"snapshot": snapshot.id}
    intents.enqueue(session, desktop, "snapshot", caller.email, params, first=first)


def _drop(session: AsyncSession, desktop: Desktop, snapshot: Snapshot, caller: Caller) -> None:
    snapshot_state.apply(session, snapshot, {"status": SnapshotStatus.DELETING})
    operations.enqueue(session, desktop, "drop_snapshot", caller.email, {"snapshot": snapshot.id})
