"""Hibernates desktops that nobody and nothing uses.

When a desktop's time comes is told by its row (`services.idleness`): since somebody did something
with it, or its agent was at work, its rule's time has passed. Only then its guest is asked whether
a command runs in a terminal. Open sockets say nothing: somebody may have left a page open.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from lebureau_app.engine.links import Links
from lebureau_app.engine.waiting import wait_until_set
from lebureau_app.errors import LeBureauError
from lebureau_app.models import Desktop, utc_now
from lebureau_app.services import activity, desktop_state
from lebureau_app.services import operations as journal
from lebureau_app.services.idleness import hibernates_at

log = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0
"""Seconds after which rules are read again, whatever happens."""

TRY_AGAIN = timedelta(minutes=10)
"""How long a desktop is left alone that could not be asked, or did not hibernate."""


class Idle:
    """Hibernates desktops by their rules.

    Args:
        links: The connections to running desktops.
        now: The time of day.
    """

    def __init__(self, links: Links, now: Callable[[], datetime] = utc_now) -> None:
        self._links = links
        self._now = now
        self._woken = asyncio.Event()
        self._spared: dict[str, datetime] = {}

    def wake(self) -> None:
        """Something may have changed that makes a desktop's time come sooner."""
        self._woken.set()

    async def run(self) -> None:
        """Hibernate until cancelled."""
        while True:
            self._woken.clear()
            pause = LONGEST_SLEEP
            try:
                pause = await self.once()
            except LeBureauError as error:
                log.warning("idle desktops: %s", error.message)
            except Exception:
                log.exception("idle desktops could not be looked at")
            await wait_until_set(self._woken, pause)

    async def once(self) -> float:
        """Hibernate every desktop whose time has come.

        Returns:
            Seconds until the next one's may come, `LONGEST_SLEEP` at most.
        """
        await activity.flush()
        pause = LONGEST_SLEEP
        for desktop in await desktop_state.living():
            due = self._due(desktop)
            if due is None:
                continue
            left = (due - self._now()).total_seconds()
            if left > 0:
                pause = min(pause, left)
            elif not await self._is_at_work(desktop):
                self._spared[desktop.id] = self._now() + TRY_AGAIN
                await self._hibernate(desktop)
        return pause

    def _due(self, desktop: Desktop) -> datetime | None:
        due = hibernates_at(desktop)
        if due is None:
            self._spared.pop(desktop.id, None)
            return None
        return max(due, self._spared.get(desktop.id, due))

    async def _is_at_work(self, desktop: Desktop) -> bool:
        """Whether a command is at work in a desktop whose time has come, as far as can be told."""
        try:
            at_work = await self._links.is_at_work(desktop.id)
        except LeBureauError as error:
            log.info("%s cannot be asked whether it is idle: %s", desktop.id, error.message)
            self._spared[desktop.id] = self._now() + TRY_AGAIN
            return True
        if at_work:
            activity.note(desktop.id)
        return at_work

    async def _hibernate(self, desktop: Desktop) -> None:
        """Have a desktop hibernate, unless something has been done with it in the last moment."""
        await activity.flush()
        if await journal.hibernate_if_idle(desktop.id, self._now()):
            log.info("%s is idle, and hibernates", desktop.id)
            self._links.wake()
