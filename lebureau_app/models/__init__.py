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
)
from lebureau_app.models.event import Event, IdempotentAnswer
from lebureau_app.models.provider_key import ProviderKey
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
    "ProviderKey",
    "Role",
    "Run",
    "RunStatus",
    "Session",
    "Status",
    "Task",
    "Ticket",
    "User",
    "Workspace",
    "lights",
    "new_id",
    "utc_now",
]
