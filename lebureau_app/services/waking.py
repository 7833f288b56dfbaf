"""Waking: whoever uses a hibernated desktop has it run again."""

import asyncio

from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import ChannelNotReady, DesktopNotRunning
from lebureau_app.models import Desktop, Light, OperationStatus, Role, Status, Task
from lebureau_app.services import desktop_state, events, intents, operations
from lebureau_app.services.access import Caller

_FALLEN = (Status.STOPPED, Status.ERROR, Status.DESTROYED)


async def wake(session: AsyncSession, desktop: Desktop, actor: str) -> None:
    """Have a desktop run that hibernates or is about to; any other is left alone.

    Args:
        session: The open transaction; whoever opened it wakes the engine.
        desktop: Which desktop.
        actor: Who uses it.
    """
    pending = await operations.pending(session, desktop.id)
    last = intents.deciding(pending)
    if last is None and desktop.status != Status.HIBERNATED:
        return
    if last is not None and last.kind != "hibernate":
        return
    desktop.desired_status = Status.RUNNING
    if last is not None and last.status == OperationStatus.QUEUED:
        intents.supersede(session, [last])
        intents.updated(session, desktop)
    else:
        intents.enqueue(session, desktop, "start", actor, first=not pending)


async def awake(caller: Caller, desktop: Desktop, channel: str, patience: float) -> Desktop:
    """A desktop that runs; a hibernated one is woken, and waited for until a channel is ready.

    Args:
        caller: Who uses it; only an operator wakes.
        desktop: As it was found.
        channel: One of CHANNELS.
        patience: Seconds.

    Raises:
        DesktopNotRunning: It does not run, and does not hibernate; or it could not be woken.
        ChannelNotReady: It has not woken in time.
    """
    if not _asleep(desktop):
        if desktop.status != Status.RUNNING:
            raise DesktopNotRunning(f"This desktop is {desktop.status}.")
        return desktop
    if caller.roles.get(desktop.workspace_id) == Role.VIEWER:
        raise DesktopNotRunning(
            "This desktop is hibernated.", hint="Ask somebody who may start it."
        )
    async with events.bus.subscribe() as listener:
        async with intents.changing(caller, desktop.id) as (session, fresh):
            await wake(session, fresh, caller.email)
        try:
            async with asyncio.timeout(patience):
                while not _ready(fresh, channel):
                    await _must_be_waking(fresh)
                    while (await listener.get()).desktop_id != desktop.id:
                        pass
                    fresh = await _read(caller, desktop.id)
        except TimeoutError:
            raise ChannelNotReady(
                "This desktop is waking.", hint="Ask again in a few seconds."
            ) from None
    return fresh


def _asleep(desktop: Desktop) -> bool:
    return desktop.status == Status.HIBERNATED or desktop.task == Task.HIBERNATING


def _ready(desktop: Desktop, channel: str) -> bool:
    light = desktop.readiness[channel]["state"]
    return desktop.status == Status.RUNNING and not _asleep(desktop) and light == Light.READY


async def _must_be_waking(desktop: Desktop) -> None:
    given_up = desktop.status == Status.HIBERNATED and desktop.task is None
    if desktop.status in _FALLEN or (given_up and not await _pending(desktop)):
        raise DesktopNotRunning(
            desktop.status_message or f"This desktop is {desktop.status}.",
            hint="GET /api/desktops/{id}/explain says why it could not be woken.",
        )


async def _pending(desktop: Desktop) -> bool:
    async with db.reading() as session:
        return bool(await operations.pending(session, desktop.id))


async def _read(caller: Caller, desktop_id: str) -> Desktop:
    async with db.reading() as session:
        return await desktop_state.find(session, caller, desktop_id)
