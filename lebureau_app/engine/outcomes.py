"""What becomes of a desktop when an operation has ended, well or badly."""

import asyncio
from contextlib import suppress
from typing import Any

from lebureau_app.engine.keeping import discard, fall_asleep_again
from lebureau_app.engine.stopping import switch_off
from lebureau_app.engine.upgrading import take_image_back
from lebureau_app.engine.work import Work
from lebureau_app.errors import LeBureauError, MemoryRefused, NotYet
from lebureau_app.models import Status, lights
from lebureau_app.providers.base import Power

STARTING = ("create", "start", "restart")
SNAPSHOTTING = ("snapshot", "fork")

UNDO_LIMIT = 60.0
_POLL = 0.5


def done(kind: str) -> dict[str, Any]:
    """The columns of a desktop to which something was done.

    Args:
        kind: One of `operations.TASKS`.
    """
    if kind in (*SNAPSHOTTING, "drop_snapshot"):
        return {"status_message": None}
    became = {"status": Status.RUNNING} if kind in STARTING else {}
    return {**became, "status_message": None, "needs_attention": False}


async def failed(work: Work, error: LeBureauError) -> dict[str, Any]:
    """Leave a desktop in order whose operation failed.

    Returns:
        Its columns.
    """
    kind = work.operation.kind
    if kind in SNAPSHOTTING:
        await discard(work, error.message)
        return {"status_message": f"No snapshot could be taken: {error.message}"}
    said: dict[str, Any] = {"status_message": error.message, "needs_attention": True}
    if kind in STARTING:
        return said | await _after_a_failed_start(work, error)
    if kind == "hibernate":
        return said | await _go_on(work)
    if kind == "reconfigure":
        return said | _size_before(work)
    if kind == "upgrade":
        return said | await take_image_back(work)
    return said


async def cancelled(work: Work) -> dict[str, Any]:
    """Take back what an operation has done so far.

    Returns:
        The columns of its desktop.
    """
    kind = work.operation.kind
    if kind in SNAPSHOTTING:
        await discard(work, "It was cancelled.")
    elif kind == "hibernate":
        return await _go_on(work)
    elif kind == "reconfigure":
        return _size_before(work)
    elif kind == "upgrade":
        said = {"status_message": "The image upgrade was cancelled."}
        return said | await take_image_back(work)
    elif kind in STARTING:
        return await _after_a_cancelled_start(work)
    return {}


async def _after_a_failed_start(work: Work, error: LeBureauError) -> dict[str, Any]:
    """A memory that could not be resumed is still there, and can be tried again."""
    with suppress(LeBureauError):
        if await work.power() is Power.HIBERNATED:
            return _said_with_hint(error) | {
                "status": Status.HIBERNATED,
                "desired_status": Status.HIBERNATED,
                "readiness": lights(),
            }
    if isinstance(error, MemoryRefused):
        return _said_with_hint(error) | {
            "status": Status.STOPPED,
            "desired_status": Status.STOPPED,
            "readiness": lights(),
        }
    return {"status": Status.ERROR}


def _said_with_hint(error: LeBureauError) -> dict[str, Any]:
    return {"status_message": f"{error.message} {error.hint}"}


async def _go_on(work: Work) -> dict[str, Any]:
    """A desktop that did not hibernate goes on, unless somebody wants something else by now."""
    if work.desktop.desired_status != Status.HIBERNATED:
        return {}
    with suppress(LeBureauError):
        if await work.power() is Power.RUNNING:
            await work.links.open(work.desktop.id)
    return {"desired_status": Status.RUNNING}


def _size_before(work: Work) -> dict[str, Any]:
    """A desktop that was not resized has the tier that it had."""
    return work.operation.params.get("before", {})


async def _after_a_cancelled_start(work: Work) -> dict[str, Any]:
    """Switch off what was started; a machine that was woken hibernates again."""
    became = Status.STOPPED
    with suppress(TimeoutError):
        async with asyncio.timeout(UNDO_LIMIT):
            if await fall_asleep_again(work):
                became = Status.HIBERNATED
            else:
                await _until_off(work)
    return {
        "status": became,
        "desired_status": became,
        "status_message": "Starting was cancelled.",
        "readiness": lights(),
    }


async def _until_off(work: Work) -> None:
    while True:
        try:
            return await switch_off(work)
        except NotYet:
            await asyncio.sleep(_POLL)
