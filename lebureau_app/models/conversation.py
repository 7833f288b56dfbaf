"""What people and agents said to each other."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Field, SQLModel

from lebureau_app.models.base import JSON, UtcDateTime, new_id, utc_now


class RunStatus(StrEnum):
    """How a run is getting on."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    DONE = "done"
    FAILED = "failed"
    ABORTED = "aborted"


ENDED = (RunStatus.DONE, RunStatus.FAILED, RunStatus.ABORTED)


class Conversation(SQLModel, table=True):
    """A thread of messages with one desktop's agent.

    Attributes:
        session: The thread's key inside the agent, where it is not the conversation's own id: a
            fork goes on with the threads that its agent has inherited.
    """

    id: str = Field(default_factory=lambda: new_id("conv"), primary_key=True)
    workspace_id: str = Field(foreign_key="workspace.id", index=True)
    desktop_id: str = Field(foreign_key="desktop.id", index=True)
    title: str = Field(default="", max_length=200)
    session: str = ""
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_message_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Run(SQLModel, table=True):
    """The agent at work on one message. `usage` is `{inputTokens, outputTokens, cost}`."""

    id: str = Field(default_factory=lambda: new_id("run"), primary_key=True)
    workspace_id: str = Field(index=True)
    desktop_id: str = Field(foreign_key="desktop.id", index=True)
    conversation_id: str = Field(foreign_key="conversation.id", index=True)
    status: str = Field(default=RunStatus.QUEUED, index=True)
    abort: bool = False
    error: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    usage: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    reply: str | None = None
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Message(SQLModel, table=True):
    """One message. `tool_calls` is a list of `{id, name, summary, input, output, status, ...}`."""

    id: str = Field(default_factory=lambda: new_id("msg"), primary_key=True)
    workspace_id: str = Field(index=True)
    desktop_id: str = Field(foreign_key="desktop.id", index=True)
    conversation_id: str = Field(foreign_key="conversation.id", index=True)
    run_id: str | None = Field(default=None, index=True)
    role: str
    text: str = ""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    status: str = RunStatus.DONE
    usage: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
