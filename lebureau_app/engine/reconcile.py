"""The full pass: compares what should exist with what the provider really has.

It mends what differs and never destroys a stranger: a machine without a living desktop is reported
once and left alone.
"""

import asyncio
import logging

from lebureau_app.engine.links import Links
from lebureau_app.errors import DesktopNotRunning, LeBureauError
from lebureau_app.models import Desktop, RunStatus, Status, lights
from lebureau_app.providers.base import Machine, Power, Provider
from lebureau_app.services import conversations, desktop_state
from lebureau_app.services import operations as journal
from lebureau_app.services.conversations import Ended

log = logging.getLogger(__name__)

EVERY = 2.0


class Reconciler:
    """Compares and mends, every two seconds.

    Args:
        provider: Where desktops run.
        links: The connections to running desktops.
    """

    def __init__(self, provider: Provider, links: Links) -> None:
        self._provider = provider
        self._links = links
        self._strangers: set[str] = set()

    async def run(self) -> None:
        """Reconcile until cancelled; a failed pass is logged and followed by the next."""
        while True:
            try:
                await self.once()
            except LeBureauError as error:
                log.warning("reconciling: %s", error.message)
            except Exception:
                log.exception("reconciling failed")
            await asyncio.sleep(EVERY)

    async def once(self) -> None:
        """One full pass."""
        machines = {machine.desktop_id: machine for machine in await self._provider.inspect_all()}
        busy = await journal.busy_desktops()
        desktops = {desktop.id: desktop for desktop in await desktop_state.living()}
        for desktop in desktops.values():
            if desktop.id not in busy and desktop.provider == self._provider.name:
                await self._compare(desktop, machines.get(desktop.id))
        for desktop_id in self._links.open_ids() - busy:
            running = desktops.get(desktop_id)
            if running is None or running.status not in (Status.RUNNING, Status.ERROR):
                await self._links.close(desktop_id)
        self._report_strangers(machines, set(desktops) | busy)

    async def _compare(self, desktop: Desktop, machine: Machine | None) -> None:
        ours = machine is not None and machine.ref == desktop.ref
        power = machine.power if ours and machine else None
        if power == Power.UNKNOWN:
            return
        if power == Power.RUNNING:
            await self._runs(desktop)
        elif desktop.status == Status.RUNNING:
            await self._died(desktop, machine if ours else None)

    async def _runs(self, desktop: Desktop) -> None:
        if desktop.desired_status != Status.RUNNING:
            await journal.retry_by_engine(desktop, "stop")
            return
        await self._links.open(desktop.id)
        healed = desktop.status != Status.RUNNING and self._links.has_identity(desktop.id)
        if healed:
            await desktop_state.note(
                desktop.id, status=Status.RUNNING, status_message=None, needs_attention=False
            )

    async def _died(self, desktop: Desktop, machine: Machine | None) -> None:
        await self._links.close(desktop.id)
        reason = machine.reason if machine else "The provider no longer has its machine."
        by_itself = machine is not None and machine.power == Power.STOPPED
        await conversations.end_all(
            desktop.id,
            Ended(RunStatus.FAILED, error=DesktopNotRunning(f"The desktop went off: {reason}")),
            queued=False,
        )
        await desktop_state.note(
            desktop.id,
            status=Status.STOPPED if by_itself else Status.ERROR,
            desired_status=Status.STOPPED,
            status_message=reason,
            needs_attention=not by_itself,
            readiness=lights(),
            activity="",
            boot="",
        )
        log.warning("desktop %s went off by itself: %s", desktop.id, reason)

    def _report_strangers(self, machines: dict[str, Machine], known: set[str]) -> None:
        strangers = set(machines) - known
        for desktop_id in strangers - self._strangers:
            log.warning(
                "machine %s (%s) belongs to no living desktop of this database: left alone",
                desktop_id,
                machines[desktop_id].ref,
            )
        self._strangers = strangers
