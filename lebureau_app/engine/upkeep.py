"""Keeps order on the disks: short chains, nothing that nobody needs, and an honest account."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable

from lebureau_app.errors import LeBureauError
from lebureau_app.models import Desktop
from lebureau_app.providers.base import Goldens, Provider, Snapshots
from lebureau_app.services import desktop_state, snapshot_state
from lebureau_app.services import operations as journal
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)

EVERY = 20.0
MOST_PIECES = 10
"""How much is tidied up in one pass."""


class Upkeep:
    """Tidies up while nothing is being done to any desktop.

    Args:
        provider: Where desktops run.
        settings: Whether golden machines are used here.
    """

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings

    async def run(self) -> None:
        """Tidy up until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.once()

    async def once(self) -> None:
        """One pass; what there is too much of for one is left to the next."""
        provider = self._provider
        if isinstance(provider, Snapshots):
            await _whatever_happens(self._drop_used_up(provider))
            await _whatever_happens(self._tidy(provider))
            await _whatever_happens(self._account(provider))
        if isinstance(provider, Goldens) and self._settings.resume:
            await _whatever_happens(self._sweep_goldens(provider))

    async def _drop_used_up(self, provider: Snapshots) -> None:
        """What forks were made of goes as soon as each has its own identity."""
        for snapshot in await snapshot_state.used_up():
            await provider.drop_snapshot(snapshot.id)
            await snapshot_state.forget(snapshot.id)

    async def _tidy(self, provider: Snapshots) -> None:
        for _ in range(MOST_PIECES):
            if await journal.busy_desktops() or not await provider.tidy():
                return

    async def _sweep_goldens(self, provider: Goldens) -> None:
        if not await journal.busy_desktops():
            await provider.sweep_goldens()

    async def _account(self, provider: Snapshots) -> None:
        """Write down what every desktop and every snapshot occupies."""
        stored = {each.id: each for each in await provider.stored_snapshots()}
        sums = Counter[str]()
        for each in stored.values():
            sums[each.desktop_id] += each.size
        busy = await journal.busy_desktops()
        for desktop in await desktop_state.living():
            ours = desktop.ref and desktop.provider == self._provider.name
            if ours and desktop.id not in busy:
                await _whatever_happens(_account_for(provider, desktop, sums[desktop.id]))
        for snapshot in await snapshot_state.ready():
            size = stored[snapshot.id].size if snapshot.id in stored else snapshot.size
            if size != snapshot.size:
                await snapshot_state.note(snapshot.id, size=size)


async def _account_for(provider: Snapshots, desktop: Desktop, snapshots: int) -> None:
    occupied = await provider.storage(desktop.id, desktop.ref)
    storage = {"disk": occupied.disk, "memory": occupied.memory, "snapshots": snapshots}
    if storage != desktop.storage:
        await desktop_state.note(desktop.id, storage=storage)


async def _whatever_happens(part: Awaitable[None]) -> None:
    """Do one part of a pass; its troubles must not keep the others from being done."""
    try:
        await part
    except LeBureauError as error:
        log.warning("tidying up: %s", error.message)
    except Exception:
        log.exception("tidying up failed")
