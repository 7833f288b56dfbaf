"""The engine: everything that happens by itself, started and stopped as one."""

import asyncio
import logging
from contextlib import suppress

from lebureau_app.engine import housekeeping, revocations
from lebureau_app.engine.goldens import GoldenMaker, GuestWarmer, Warmer, simulated_warmer
from lebureau_app.engine.guest_link import GuestLink
from lebureau_app.engine.identity import Identities
from lebureau_app.engine.idle import Idle
from lebureau_app.engine.images import ImageBuilder
from lebureau_app.engine.links import Link, Links
from lebureau_app.engine.operations import Operations
from lebureau_app.engine.reconcile import Reconciler
from lebureau_app.engine.simulated_link import SimulatedLink
from lebureau_app.engine.upkeep import Upkeep
from lebureau_app.guest import ssh
from lebureau_app.providers.base import Goldens, Provider
from lebureau_app.services import desktop_state, hosts, live, operations
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)


class Engine:
    """Runs the journal, the links, the full pass, images, golden machines and housekeeping.

    Args:
        provider: Where desktops run.
        settings: The settings of this process.
    """

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        self._identities = Identities(provider, settings)
        self.links = Links(self._make_link)
        hosts.provide(provider)
        live.provide(self.links)

    async def run(self) -> None:
        """Work until cancelled; desktops keep running when it ends."""
        await self._provider.open()
        if self._settings.database.startswith("sqlite"):
            await operations.release_all()
            await desktop_state.doubt_lights()
        key = ssh.authorized_key(self._settings)
        worker = Operations(
            self._provider,
            self.links,
            self._identities,
            key,
            self._settings,
        )
        idle = Idle(self.links)
        self.links.on_wake(worker.wake)
        self.links.on_wake(idle.wake)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run(), name="operations")
                tasks.create_task(idle.run(), name="idle")
                tasks.create_task(Upkeep(self._provider, self._settings).run(), name="upkeep")
                tasks.create_task(Reconciler(self._provider, self.links).run(), name="reconcile")
                tasks.create_task(housekeeping.run(), name="housekeeping")
                tasks.create_task(revocations.run(), name="revocations")
                if isinstance(self._provider, Goldens) and self._settings.resume:
                    maker = GoldenMaker(self._provider, self._warmer(), key)
                    tasks.create_task(maker.run(), name="goldens")
                if self._provider.name == "qemu":
                    tasks.create_task(ImageBuilder(self._settings).run(), name="images")
        except* Exception:
            log.critical("the engine stopped", exc_info=True)
            raise
        finally:
            with suppress(Exception):
                await self.links.close_all()
                await self._provider.close()

    def _warmer(self) -> Warmer:
        if self._provider.name == "fake":
            return simulated_warmer
        return GuestWarmer(self._provider, self._settings)

    def _make_link(self, desktop_id: str) -> Link:
        if self._provider.name == "fake":
            return SimulatedLink(desktop_id)
        return GuestLink(desktop_id, self._provider, self._identities, self._settings)
