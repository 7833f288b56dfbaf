"""Workspaces and who belongs to them."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from lebureau_app.models.base import UtcDateTime, new_id, utc_now


class Role(StrEnum):
    """What a member may do: everything, run desktops, or look."""

    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Workspace(SQLModel, table=True):
    """The unit of ownership: desktops, keys and conversations belong to one.

    Attributes:
        hibernate_after: Idle seconds after which its desktops hibernate; 0 never.
    """

    id: str = Field(default_factory=lambda: new_id("ws"), primary_key=True)
    name: str = Field(max_length=100)
    hibernate_after: int = 3600
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Membership(SQLModel, table=True):
    """A person in a workspace, with a role."""

    workspace_id: str = Field(foreign_key="workspace.id", primary_key=True)
    user_id: str = Field(foreign_key="user.id", primary_key=True, index=True)
    role: str = Role.VIEWER
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
