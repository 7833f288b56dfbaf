"""Carries out the journal: claims what is due, step by step, and survives being killed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from lebureau_app.engine import outcomes
from lebureau_app.engine.identity import Identities
from lebureau_app.engine.links import Links
from lebureau_app.engine.steps import plan
from lebureau_app.engine.turns import Turns
from lebureau_app.engine.waiting import wait_until_set
from lebureau_app.engine.work import StartOver, Step, Work
from lebureau_app.errors import (
    DeadlineExceeded,
    LeBureauError,
    MemoryRefused,
    NoCapacity,
    NotYet,
    ProviderError,
)
from lebureau_app.models import Operation, OperationStatus, utc_now
from lebureau_app.providers.base import Provider
from lebureau_app.services import desktop_state
from lebureau_app.services import operations as journal
from lebureau_app.services.operations import LeaseLost
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)

POLL = 0.5
IDLE = 1.0
TRIES = 3

CARRY_SECONDS = 1800
"""How long a home folder may take to be carried over to another image."""

_NOT_TO_BE_CANCELLED = ("destroy", "drop_snapshot")
_NOT_TO_BE_REPEATED = (NoCapacity, DeadlineExceeded, MemoryRefused)


class _Cancelled(Exception):
    """A person asked to stop."""


class Operations:
    """The worker of the journal.

    Args:
        provider: Where desktops run.
        links: The connections to running desktops.
        identities: Gives guests their identity.
        public_key: Our SSH public key, which new machines trust.
        settings: For the limits.
    """

    def __init__(
        self,
        provider: Provider,
        links: Links,
        identities: Identities,
        public_key: str,
        settings: Settings,
    ) -> None:
        self._provider = provider
        self._links = links
        self._identities = identities
        self._turns = Turns(provider)
        self._public_key = public_key
        self._settings = settings
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is new work: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled. What is under way then stays in the journal."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._woken.clear()
                for operation in await journal.claim():
                    tasks.create_task(self._carry_out(operation), name=f"op {operation.id}")
                await wait_until_set(self._woken, IDLE)

    async def _carry_out(self, operation: Operation) -> None:
        try:
            async with _lease(operation):
                await self._attempt(operation)
        except LeaseLost:
            log.warning("operation %s is in other hands by now", operation.id)
        except Exception:
            log.exception("operation %s broke", operation.id)
        self._turns.give_back(operation.desktop_id)
        self.wake()

    async def _attempt(self, operation: Operation) -> None:
        try:
            await self._follow_plan(operation)
        except _Cancelled:
            await self._undo(operation)
        except LeBureauError as error:
            again = isinstance(error, ProviderError) and not isinstance(error, _NOT_TO_BE_REPEATED)
            if again and operation.attempt + 1 < TRIES:
                log.warning("operation %s: %s Trying again.", operation.id, error.message)
                operation.step = ""
                await journal.record(operation, step="")
                delay = timedelta(seconds=4**operation.attempt)
                await journal.postpone(operation, utc_now() + delay, operation.attempt + 1)
            else:
                await self._fail(operation, error)
        except LeaseLost:
            raise
        except Exception as error:
            log.exception("operation %s failed unexpectedly", operation.id)
            await self._fail(operation, LeBureauError(f"An unexpected fault: {error!r}."))

    async def _follow_plan(self, operation: Operation) -> None:
        steps = plan(operation.kind, self._settings.stop_timeout)
        names = [step.name for step in steps]
        position = names.index(operation.step) if operation.step in names else 0
        await journal.record(
            operation,
            status=OperationStatus.RUNNING,
            started_at=operation.started_at or utc_now(),
            desktop={"task": journal.TASKS[operation.kind]},
        )
        while position < len(steps):
            try:
                await self._take(operation, steps[position])
            except StartOver as again:
                log.warning("operation %s starts over: %s", operation.id, again.params)
                operation.params = {**operation.params, **again.params}
                await journal.record(operation, params=operation.params)
                position = names.index(again.step)
            else:
                position += 1
        await journal.finish(
            operation,
            OperationStatus.DONE,
            desktop=outcomes.done(operation.kind),
            destroyed=operation.kind == "destroy",
        )

    async def _take(self, operation: Operation, step: Step) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = step.message
        if not step.patient and operation.deadline is None:
            operation.deadline = utc_now() + timedelta(seconds=self._limit(operation.kind))
        operation.step = step.name
        say = partial(self._say, operation, step)
        await say(said)
        first = True
        while True:
            await journal.hear(operation)
            if operation.cancel and operation.kind not in _NOT_TO_BE_CANCELLED:
                raise _Cancelled
            try:
                waited = loop.time() - began
                await step.act(await self._work(operation, say, first=first, waited=waited))
                return
            except NotYet as waiting:
                first = False
                if step.limit is not None and loop.time() - began > step.limit:
                    return
                if not step.patient and operation.deadline and utc_now() > operation.deadline:
                    raise DeadlineExceeded(
                        f"This took longer than {self._limit(operation.kind)} s; "
                        f"the last step was: {step.message}. {waiting.message}"
                    ) from waiting
                if waiting.message != said:
                    said = waiting.message
                    await say(said)
            await wait_until_set(self._woken, POLL)
            await asyncio.sleep(0.05)

    async def _work(
        self,
        operation: Operation,
        say: Callable[[str], Awaitable[None]],
        *,
        first: bool = False,
        waited: float = 0.0,
    ) -> Work:
        desktop = await desktop_state.load(operation.desktop_id)
        if desktop is None:
            raise LeaseLost
        return Work(
            operation,
            desktop,
            self._provider,
            self._links,
            self._identities,
            self._turns,
            self._public_key,
            say,
            first,
            waited,
        )

    async def _say(self, operation: Operation, step: Step, message: str) -> None:
        progress = {"step": step.name, "percent": None, "message": message}
        await journal.record(
            operation,
            step=step.name,
            deadline=operation.deadline,
            desktop={"progress": progress},
        )
        journal.tell_progress(operation, progress)

    async def _undo(self, operation: Operation) -> None:
        became = await outcomes.cancelled(await self._work(operation, _silently))
        await journal.finish(operation, OperationStatus.CANCELLED, desktop=became)

    async def _fail(self, operation: Operation, error: LeBureauError) -> None:
        log.error("operation %s (%s) failed: %s", operation.id, operation.kind, error.message)
        became = await outcomes.failed(await self._work(operation, _silently), error)
        await journal.finish(operation, OperationStatus.FAILED, error=error, desktop=became)

    def _limit(self, kind: str) -> int:
        stopping = self._settings.stop_timeout + 60
        starting = self._settings.boot_timeout
        return {
            "create": starting,
            "start": starting,
            "restart": starting + stopping,
            "upgrade": starting + CARRY_SECONDS + stopping,
        }.get(kind, stopping)


async def _silently(message: str) -> None:
    """Nobody waits for this any more."""


@asynccontextmanager
async def _lease(operation: Operation) -> AsyncIterator[None]:
    """Keep the lease of an operation alive; the block is cancelled if it is lost."""
    worker = asyncio.current_task()
    lost = False

    async def renew() -> None:
        nonlocal lost
        try:
            while True:
                await asyncio.sleep(journal.LEASE.total_seconds() / 3)
                await journal.renew(operation)
        except LeaseLost:
            lost = True
            if worker:
                worker.cancel()

    renewing = asyncio.create_task(renew())
    try:
        yield
    except asyncio.CancelledError:
        if lost:
            raise LeaseLost from None
        raise
    finally:
        renewing.cancel()
