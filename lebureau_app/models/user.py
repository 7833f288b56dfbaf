"""People and how they are signed in."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from lebureau_app.models.base import JSON, UtcDateTime, new_id, utc_now


class User(SQLModel, table=True):
    """A person. `email` is kept in lower case."""

    id: str = Field(default_factory=lambda: new_id("usr"), primary_key=True)
    email: str = Field(unique=True, index=True, max_length=254)
    password_hash: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Session(SQLModel, table=True):
    """A signed-in browser. The cookie's token is stored as its SHA-256 only."""

    id: str = Field(default_factory=lambda: new_id("ses"), primary_key=True)
    token_hash: str = Field(unique=True, index=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    address: str = ""
    user_agent: str = Field(default="", max_length=300)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_seen_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """A key for our REST API. The secret is stored as its SHA-256 only."""

    __tablename__ = "api_key"  # pyright: ignore[reportAssignmentType]

    id: str = Field(default_factory=lambda: new_id("key"), primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    name: str = Field(max_length=100)
    token_hash: str = Field(unique=True, index=True)
    last4: str
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Ticket(SQLModel, table=True):
    """A one-use pass for a WebSocket, stored as its SHA-256 only."""

    token_hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="user.id")
    session_id: str | None = None
    api_key_id: str | None = None
    desktop_id: str = Field(index=True)
    channel: str
    mode: str
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
