"""The full pass: compares what should exist with what the provider really has.

It mends what differs and never destroys a stranger: a machine without a living desktop is reported
once and left alone.
"""

import asyncio
import logging

from lebureau_app.engine.goldens import is_golden
from lebureau_app.engine.links import Links
from lebureau_app.errors import DesktopNotRunning, LeBureauError
from lebureau_app.models import Desktop, RunStatus, Status, lights
from lebureau_app.providers.base import Machine, Power, Provider
from lebureau_app.services import conversations, desktop_state
from lebureau_app.services import operations as journal
from lebureau_app.services.conversations import Ended

log = logging.getLogger(__name__)

EVERY = 2.0

_ALIVE = (Status.RUNNING, Status.HIBERNATED)


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
        before = await journal.busy_desktops()
        found = await self._provider.inspect_all()
        machines = {each.desktop_id: each for each in found if not is_golden(each.desktop_id)}
        busy = before | await journal.busy_desktops()
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
        if machine is None or not ours:
            if desktop.status in _ALIVE:
                await self._died(desktop, None)
        elif machine.power is Power.RUNNING:
            await self._runs(desktop, machine)
        elif machine.power is Power.HIBERNATED:
            if desktop.status != Status.HIBERNATED:
                await self._links.close(desktop.id)
                await desktop_state.hibernated(desktop.id)
        elif machine.power is not Power.UNKNOWN and desktop.status in _ALIVE:
            await self._died(desktop, machine)

    async def _runs(self, desktop: Desktop, machine: Machine) -> None:
        if desktop.desired_status in (Status.STOPPED, Status.DESTROYED):
            await journal.retry_by_engine(desktop, "stop")
            return
        if desktop.status == Status.HIBERNATED:
            await journal.retry_by_engine(desktop, "start")
            return
        if not machine.settled:
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
        slept = desktop.status == Status.HIBERNATED
        if slept:
            reason = f"What it had kept of its memory is gone, and it will boot: {reason}"
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
            needs_attention=slept or not by_itself,
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
