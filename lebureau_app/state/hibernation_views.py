"""When a desktop hibernates by itself, in words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lebureau_app.models import utc_now

AS_THE_WORKSPACE = -1
"""The rule of a desktop that has none of its own."""

CHOICES = ((0, "Never"), (900, "15 min"), (3600, "1 h"), (14400, "4 h"))
"""Idle seconds after which a desktop hibernates, as they are offered."""


@dataclass(frozen=True)
class HibernationView:
    """When a desktop hibernates by itself.

    Attributes:
        at: The moment, RFC 3339, or empty where it is not coming nearer.
        prefix: What stands before the time that is left until then.
        words: What is true where there is no such moment.
        rule: Idle seconds of the desktop's own rule, 0 for never, or AS_THE_WORKSPACE.
        minutes: The rule that counts, in whole minutes.
        of_workspace: What the workspace's rule is, in words.
    """

    at: str = ""
    prefix: str = ""
    words: str = ""
    rule: int = AS_THE_WORKSPACE
    minutes: int = 0
    of_workspace: str = ""


@dataclass(frozen=True)
class WorkspaceView:
    """A workspace with its rule of hibernation."""

    id: str
    name: str
    rule: int
    minutes: int
    owned: bool


def hibernation(shown: dict[str, Any], workspace_rule: int) -> HibernationView:
    """When a desktop of the interface hibernates by itself.

    Args:
        shown: The desktop.
        workspace_rule: Idle seconds of its workspace's rule, 0 for never.
    """
    own = shown["hibernateAfter"]
    rule = workspace_rule if own is None else own
    kept_awake = is_ahead(shown["awakeUntil"])
    at_work = shown["status"] == "running" and not shown["task"]
    words = "Awake while it works" if at_work else f"Hibernates when idle for {after(rule)}"
    return HibernationView(
        at=shown["hibernatesAt"] or "",
        prefix="Kept awake, hibernates in " if kept_awake else "Hibernates in ",
        words=words if rule else "Never hibernates by itself",
        rule=AS_THE_WORKSPACE if own is None else own,
        minutes=rule // 60,
        of_workspace=after(workspace_rule) if workspace_rule else "never",
    )


def workspace(shown: dict[str, Any]) -> WorkspaceView:
    """A workspace of the interface with its rule."""
    rule = shown["hibernateAfter"]
    return WorkspaceView(shown["id"], shown["name"], rule, rule // 60, shown["role"] == "owner")


def after(seconds: int) -> str:
    """Idle seconds in a few words: `45 min`, `1 h`, `1 h 30 min`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def seconds(minutes: str) -> int:
    """Minutes that somebody typed, as seconds; what is no number counts as none."""
    return int(minutes) * 60 if minutes.strip().isdecimal() else 0


def is_ahead(time: str | None) -> bool:
    """Whether an RFC 3339 time is still to come."""
    return bool(time) and datetime.fromisoformat(str(time)) > utc_now()
