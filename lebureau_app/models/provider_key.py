"""The user's own model keys."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from lebureau_app.models.base import UtcDateTime, new_id, utc_now


class ProviderKey(SQLModel, table=True):
    """A provider key.

    Attributes:
        secret: An envelope of the vault, never the key itself.
        private: The base URL may lead to private addresses: an owner gave it.
    """

    __tablename__ = "provider_key"  # pyright: ignore[reportAssignmentType]

    id: str = Field(default_factory=lambda: new_id("pk"), primary_key=True)
    workspace_id: str = Field(foreign_key="workspace.id", index=True)
    name: str = Field(max_length=100)
    provider: str
    secret: str = ""
    last4: str = ""
    base_url: str | None = None
    model: str | None = None
    private: bool = False
    status: str = "untested"
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    changed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
