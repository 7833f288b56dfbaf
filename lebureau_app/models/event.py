"""What happened, in order, and answers that are kept to be given again."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from lebureau_app.models.base import JSON, UtcDateTime, utc_now


class Event(SQLModel, table=True):
    """One thing that happened. `id` is the sequence that Last-Event-ID resumes from."""

    id: int | None = Field(default=None, primary_key=True)
    type: str
    workspace_id: str | None = Field(default=None, index=True)
    desktop_id: str | None = None
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)


class IdempotentAnswer(SQLModel, table=True):
    """The first answer to a creating call, by caller, route and Idempotency-Key.

    `status` is 0 while the first request is still running.
    """

    __tablename__ = "idempotent_answer"  # pyright: ignore[reportAssignmentType]

    caller: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=255)
    body_hash: str
    status: int = 0
    answer: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
