"""Desktops and the journal of what was done to them."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from lebureau_app.models.base import JSON, UtcDateTime, new_id, utc_now


class Status(StrEnum):
    """What a desktop is."""

    PROVISIONING = "provisioning"
    RUNNING = "running"
    STOPPED = "stopped"
    HIBERNATED = "hibernated"
    ERROR = "error"
    DESTROYED = "destroyed"


class Task(StrEnum):
    """What is being done to a desktop."""

    CREATING = "creating"
    STARTING = "starting"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    DESTROYING = "destroying"
    RECONFIGURING = "reconfiguring"
    HIBERNATING = "hibernating"
    SNAPSHOTTING = "snapshotting"
    RESTORING = "restoring"


class Light(StrEnum):
    """How a channel of a desktop is."""

    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


CHANNELS = ("machine", "ssh", "screen", "terminal", "agent")


def lights(state: Light = Light.OFF) -> dict[str, Any]:
    """All channels in one state, as the `readiness` column keeps them."""
    return {channel: {"state": str(state), "reason": ""} for channel in CHANNELS}


def no_storage() -> dict[str, int]:
    """The `storage` column of a desktop that occupies nothing yet."""
    return {"disk": 0, "memory": 0, "snapshots": 0}


class Desktop(SQLModel, table=True):
    """A virtual machine with its agent. Memory and disk in bytes, money in USD.

    Attributes:
        readiness: Channel to `{"state", "reason"}`.
        provider_keys: Ids of provider keys in order; None takes all of the workspace.
        ref: The provider's identity for the machine; empty until it is made.
        boot: The provider's mark of the current boot.
        identified: The boot in which the guest got its identity last.
        origin: What the current boot began from (`providers.base.Origin`).
        origin_note: Why it took the slow road, for a person; empty if it did not.
        hibernate_after: Idle seconds after which it hibernates; 0 never, None as the workspace
            says.
        idle_after: The same with the workspace's rule filled in.
        working: Whether a run of its agent waits or is under way.
        awake_until: Until then it does not hibernate by itself.
        parent_id: The desktop that it is a fork of.
        born_of: The snapshot that its machine is made of; empty for one made of its image.
        storage: Bytes on disk: `{"disk", "memory", "snapshots"}`.
        ran_seconds: Running time of ended periods, in seconds.
        secrets: An envelope of the vault with the desktop's own secrets as JSON.
    """

    __table_args__ = (
        Index(
            "uq_desktop_living_name",
            "workspace_id",
            "name",
            unique=True,
            sqlite_where=text("destroyed_at IS NULL"),
            postgresql_where=text("destroyed_at IS NULL"),
        ),
    )

    id: str = Field(default_factory=lambda: new_id("dsk"), primary_key=True)
    workspace_id: str = Field(foreign_key="workspace.id", index=True)
    name: str = Field(max_length=63)
    tier: str
    status: str = Field(default=Status.PROVISIONING, index=True)
    desired_status: str = Status.RUNNING
    task: str | None = None
    status_message: str | None = None
    progress: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    readiness: dict[str, Any] = Field(default_factory=lights, sa_type=JSON)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    provider: str
    ref: str = ""
    boot: str = ""
    identified: str = ""
    origin: str = "boot"
    origin_note: str = ""
    image: str = ""
    agent: str = "openclaw"
    vcpus: int
    memory: int = Field(sa_type=BigInteger)
    disk: int = Field(sa_type=BigInteger)
    provider_keys: list[str] | None = Field(default=None, sa_type=JSON)
    host_key: str = ""
    secrets: str = ""
    activity: str = ""
    needs_attention: bool = False
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    cost: Decimal = Field(default=Decimal(0), max_digits=14, decimal_places=6)
    ran_seconds: int = 0
    hibernate_after: int | None = None
    idle_after: int = 0
    working: bool = False
    awake_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    parent_id: str | None = Field(default=None, index=True)
    born_of: str = ""
    storage: dict[str, int] = Field(default_factory=no_storage, sa_type=JSON)
    created_by: str = ""
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_active_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    destroyed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OperationStatus(StrEnum):
    """How an operation is getting on."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Operation(SQLModel, table=True):
    """One journalled change of a desktop.

    Attributes:
        step: The step that is being carried out, or the last one that was.
        params: What the kind needs, such as `{"force": true}`.
        lock_token: Who works on it; a result counts only under the token that is still there.
        not_before: Earliest time of the next attempt.
        cancel: A person asked to stop.
    """

    id: str = Field(default_factory=lambda: new_id("op"), primary_key=True)
    desktop_id: str = Field(foreign_key="desktop.id", index=True)
    workspace_id: str = Field(index=True)
    kind: str
    status: str = Field(default=OperationStatus.QUEUED, index=True)
    step: str = ""
    attempt: int = 0
    params: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    error: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    actor: str = ""
    cancel: bool = False
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deadline: datetime | None = Field(default=None, sa_type=UtcDateTime)
    not_before: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    lock_token: str | None = None
    lock_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
