"""What people and agents do with desktops: noted in memory, written down from time to time.

Idle is who does nothing; a page that is merely open does nothing.
"""

import asyncio
import logging

from sqlmodel import col, select

from lebureau_app import db
from lebureau_app.models import Desktop, Status, utc_now
from lebureau_app.services import desktop_state

log = logging.getLogger(__name__)

EVERY = 15.0
"""Seconds between two writings."""

_noted: set[str] = set()
_writing: asyncio.Task[None] | None = None


def note(desktop_id: str) -> None:
    """Somebody does something with a desktop right now; cheap enough for every key press."""
    global _writing
    _noted.add(desktop_id)
    if _writing is None or _writing.done():
        _writing = asyncio.create_task(_write_for_a_while(), name="activity")


async def flush() -> None:
    """Write down what was noted."""
    desktop_ids = sorted(_noted)
    _noted.clear()
    if not desktop_ids:
        return
    async with db.writing() as session:
        query = select(Desktop).where(
            col(Desktop.id).in_(desktop_ids), Desktop.status == Status.RUNNING
        )
        for desktop in await session.exec(query):
            desktop_state.apply(session, desktop, {"last_active_at": utc_now()})


def forget() -> None:
    """Forget what was noted and not written down, for a new event loop."""
    global _writing
    _noted.clear()
    _writing = None


async def _write_for_a_while() -> None:
    """Write at once, then every now and then until nothing was noted in between."""
    while _noted:
        try:
            await flush()
        except Exception:
            log.exception("what was done with desktops could not be written down")
        await asyncio.sleep(EVERY)
