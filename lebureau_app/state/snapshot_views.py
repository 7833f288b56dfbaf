"""Snapshots and golden machines as pages show them, made from the JSON of the interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lebureau_app.state import views

_TONES = {"ready": "ready", "creating": "working", "deleting": "working", "failed": "failed"}
_WORDS: dict[str, str] = {"ready": "Ready", "creating": "Being taken", "deleting": "Being removed"}
_GOLDEN_TONES = {"ready": "ready", "making": "working", "failed": "failed"}
_GOLDEN_WORDS: dict[str, str] = {
    "ready": "Ready",
    "making": "Being made",
    "waiting": "Waits",
    "failed": "Failed",
}


@dataclass(frozen=True)
class SnapshotView:
    """A snapshot in the timeline of its desktop.

    Attributes:
        picture: Where its picture is, or empty.
        what: What it holds, and how big it is.
        can_restore: It is complete.
        can_delete: It is complete, or has failed.
    """

    id: str
    name: str
    automatic: bool
    tone: str
    word: str
    picture: str
    what: str
    note: str
    created: str
    can_restore: bool
    can_delete: bool


@dataclass(frozen=True)
class GoldenView:
    """The golden machine of one tier."""

    tier: str
    tone: str
    word: str
    detail: str
    percent: int


def snapshot(shown: dict[str, Any]) -> SnapshotView:
    """A snapshot of the interface as the timeline shows it."""
    ready = shown["status"] == "ready"
    holds = "Disk and memory" if shown["memory"] else "Disk only"
    return SnapshotView(
        id=shown["id"],
        name=shown["name"],
        automatic=shown["kind"] == "automatic",
        tone=_TONES.get(shown["status"], "off"),
        word=_WORDS.get(shown["status"]) or shown["status"].capitalize(),
        picture=(shown["picture"] or "") if ready else "",
        what=f"{holds} · {views.amount(shown['size'])}" if ready else "",
        note="" if shown["note"] == shown["name"] else shown["note"] or "",
        created=shown["createdAt"] or "",
        can_restore=ready,
        can_delete=shown["status"] in ("ready", "failed"),
    )


def golden(shown: dict[str, Any]) -> GoldenView:
    """The golden machine of a tier as a row."""
    progress = shown.get("progress") or {}
    percent = progress.get("percent")
    size = views.amount(shown["size"]) if shown.get("size") else ""
    waiting = "Made when a computer of this size is first asked for"
    return GoldenView(
        tier=shown["tier"].capitalize(),
        tone=_GOLDEN_TONES.get(shown["status"], "off"),
        word=_GOLDEN_WORDS.get(shown["status"]) or shown["status"].capitalize(),
        detail=shown.get("error")
        or progress.get("message")
        or (waiting if shown["status"] == "waiting" else size),
        percent=round(percent) if percent is not None else -1,
    )


def road(goldens: Sequence[dict[str, Any]], tier: str) -> str:
    """What creating a computer of a tier will really be; empty where nobody knows.

    Args:
        goldens: The golden machines of the image that it will be made of.
        tier: The tier's id.
    """
    status = next((each["status"] for each in goldens if each["tier"] == tier), "")
    return {
        "ready": "In seconds: it resumes a golden machine of this size.",
        "making": "A minute or more: the golden machine of this size is still being made.",
        "waiting": "A minute or more: the first of this size boots, and its golden machine is made.",
        "failed": "A minute or more: the golden machine of this size could not be made, so it boots.",
    }.get(status, "")
