"""What a snapshot is: its row and its picture. The engine's side of snapshots."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.models import (
    Desktop,
    Picture,
    Snapshot,
    SnapshotKind,
    SnapshotStatus,
    Status,
    utc_now,
)
from lebureau_app.services import events, present


async def load(snapshot_id: str) -> Snapshot | None:
    """One snapshot for the engine, whoever owns it."""
    async with db.reading() as session:
        return await session.get(Snapshot, snapshot_id)


async def of_desktop(desktop_id: str) -> list[Snapshot]:
    """Every snapshot of a desktop, those of forks too, oldest first."""
    query = select(Snapshot).where(Snapshot.desktop_id == desktop_id).order_by(col(Snapshot.id))
    async with db.reading() as session:
        return list(await session.exec(query))


async def ready() -> list[Snapshot]:
    """Every snapshot that is there."""
    query = select(Snapshot).where(Snapshot.status == SnapshotStatus.READY)
    async with db.reading() as session:
        return list(await session.exec(query))


def caps(snapshot: Snapshot) -> dict[str, Any]:
    """The columns of a desktop that are as they were when its snapshot was taken."""
    return {
        "tier": snapshot.tier,
        "vcpus": snapshot.vcpus,
        "memory": snapshot.memory_size,
        "disk": snapshot.disk_size,
        "image": snapshot.image,
    }


async def note(snapshot_id: str, **columns: Any) -> Snapshot | None:
    """Write what the engine found out, and tell it where it makes a difference.

    Args:
        snapshot_id: Which snapshot.
        columns: Column names and their values.

    Returns:
        The snapshot, or None where there is none.
    """
    async with db.writing() as session:
        snapshot = await session.get(Snapshot, snapshot_id)
        if snapshot is not None:
            apply(session, snapshot, columns)
        return snapshot


def apply(session: AsyncSession, snapshot: Snapshot, columns: Mapping[str, Any]) -> None:
    """Set columns of a snapshot inside an open transaction; tells it only if something changed."""
    before = present.snapshot(snapshot)
    for column, value in columns.items():
        setattr(snapshot, column, value)
    session.add(snapshot)
    if present.snapshot(snapshot) != before:
        emit(session, "snapshot.updated", snapshot)


async def forget(snapshot_id: str) -> None:
    """Remove a snapshot's row and picture, once the provider has let go of it."""
    async with db.writing() as session:
        snapshot = await session.get(Snapshot, snapshot_id)
        if snapshot is None:
            return
        picture = await session.get(Picture, snapshot_id)
        if picture is not None:
            await session.delete(picture)
        await session.delete(snapshot)
        emit(session, "snapshot.deleted", snapshot)


async def keep_picture(owner_id: str, png: bytes) -> None:
    """Keep the screen of a desktop, or of the snapshot that is taken of it."""
    async with db.writing() as session:
        picture = await session.get(Picture, owner_id) or Picture(owner_id=owner_id, png=png)
        picture.png, picture.taken_at = png, utc_now()
        session.add(picture)
        snapshot = await session.get(Snapshot, owner_id)
        if snapshot is not None:
            apply(session, snapshot, {"pictured": True})


async def forget_picture(owner_id: str) -> None:
    """Remove the picture of a desktop that is gone, or that looks like that no more."""
    async with db.writing() as session:
        picture = await session.get(Picture, owner_id)
        if picture is not None:
            await session.delete(picture)


async def picture_of(owner_id: str) -> bytes | None:
    """The last picture of a desktop, or that of a snapshot."""
    async with db.reading() as session:
        picture = await session.get(Picture, owner_id)
    return picture.png if picture else None


async def used_up() -> list[Snapshot]:
    """The snapshots of forks that no child needs any more: all are settled, or gone."""
    async with db.reading() as session:
        query = select(Snapshot).where(
            Snapshot.kind == SnapshotKind.FORK, Snapshot.status != SnapshotStatus.CREATING
        )
        forks = list(await session.exec(query))
        return [fork for fork in forks if not await _unborn(session, fork)]


async def _unborn(session: AsyncSession, fork: Snapshot) -> bool:
    """Whether a living child of this fork has not got its own identity yet."""
    query = select(Desktop.id).where(
        Desktop.born_of == fork.id, Desktop.status != Status.DESTROYED, Desktop.identified == ""
    )
    return (await session.exec(query.limit(1))).first() is not None


def emit(session: AsyncSession, kind: str, snapshot: Snapshot) -> None:
    """Write an event that carries the snapshot as it is now; those of forks are nobody's matter."""
    if snapshot.kind == SnapshotKind.FORK:
        return
    events.emit(
        session,
        kind,
        present.snapshot(snapshot),
        workspace_id=snapshot.workspace_id,
        desktop_id=snapshot.desktop_id,
    )
