"""The tables, one file a noun. Import from here, so that the metadata is complete."""

from lebureau_app.models.base import new_id, utc_now
from lebureau_app.models.conversation import ENDED, Conversation, Message, Run, RunStatus
from lebureau_app.models.desktop import (
    CHANNELS,
    Desktop,
    Light,
    Operation,
    OperationStatus,
    Status,
    Task,
    lights,
    no_storage,
)
from lebureau_app.models.event import Event, IdempotentAnswer
from lebureau_app.models.provider_key import ProviderKey
from lebureau_app.models.snapshot import Picture, Snapshot, SnapshotKind, SnapshotStatus
from lebureau_app.models.user import ApiKey, Session, Ticket, User
from lebureau_app.models.workspace import Membership, Role, Workspace

__all__ = [
    "CHANNELS",
    "ENDED",
    "ApiKey",
    "Conversation",
    "Desktop",
    "Event",
    "IdempotentAnswer",
    "Light",
    "Membership",
    "Message",
    "Operation",
    "OperationStatus",
    "Picture",
    "ProviderKey",
    "Role",
    "Run",
    "RunStatus",
    "Session",
    "Snapshot",
    "SnapshotKind",
    "SnapshotStatus",
    "Status",
    "Task",
    "Ticket",
    "User",
    "Workspace",
    "lights",
    "new_id",
    "no_storage",
    "utc_now",
]
