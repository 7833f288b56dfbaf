"""Snapshots of desktops, and pictures of what was on their screens."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from lebureau_app.models.base import UtcDateTime, new_id, utc_now


class SnapshotKind(StrEnum):
    """Who wanted a snapshot: a person, Le Bureau before it changes something, or a fork."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    FORK = "fork"


class SnapshotStatus(StrEnum):
    """How a snapshot is."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


class Snapshot(SQLModel, table=True):
    """The kept state of a desktop: its disk and, if it ran, its memory. Sizes in bytes.

    Attributes:
        memory: Whether it holds the memory of a running desktop.
        size: What is kept for it alone.
        tier: The desktop's tier at that time; so are `vcpus`, `memory_size`, `disk_size`, `image`.
        pictured: Whether there is a picture of it.
        note: What it was taken for, or why it failed, for a person.
    """

    id: str = Field(default_factory=lambda: new_id("snp"), primary_key=True)
    workspace_id: str = Field(foreign_key="workspace.id", index=True)
    desktop_id: str = Field(foreign_key="desktop.id", index=True)
    name: str = Field(max_length=100)
    kind: str = SnapshotKind.MANUAL
    status: str = SnapshotStatus.CREATING
    memory: bool = False
    size: int = Field(default=0, sa_type=BigInteger)
    tier: str
    vcpus: int
    memory_size: int = Field(sa_type=BigInteger)
    disk_size: int = Field(sa_type=BigInteger)
    image: str = ""
    pictured: bool = False
    note: str = ""
    created_by: str = ""
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Picture(SQLModel, table=True):
    """The last known screen of a desktop, or the screen of a snapshot, as PNG.

    Attributes:
        owner_id: The desktop or the snapshot.
    """

    owner_id: str = Field(primary_key=True)
    png: bytes
    taken_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
