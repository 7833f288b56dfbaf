"""Steps that keep what a machine is: hibernation, snapshots, and what forks are made of."""

import asyncio
import logging

from lebureau_app.engine.work import Work
from lebureau_app.errors import Conflict, LeBureauError
from lebureau_app.models import RunStatus, SnapshotStatus, Status
from lebureau_app.providers.base import Hibernate, Origin, Power, Snapshots
from lebureau_app.services import conversations, desktop_state, operations, snapshot_state
from lebureau_app.services.conversations import Ended

log = logging.getLogger(__name__)

PICTURE_SECONDS = 5.0
PICTURE_WIDTH = 1280


async def take_picture(work: Work) -> None:
    """Keep what is on the screen, where it can be had at once; nothing depends on it."""
    if work.desktop.status != Status.RUNNING:
        return
    try:
        async with asyncio.timeout(PICTURE_SECONDS):
            png = await work.links.screenshot(work.desktop.id, PICTURE_WIDTH)
    except (LeBureauError, OSError) as error:
        log.info("no picture of %s: %s", work.desktop.id, error)
    else:
        await snapshot_state.keep_picture(work.desktop.id, png)


async def hibernate(work: Work) -> None:
    """Write the memory to disk and end the machine. What the agent is at goes on at the wake."""
    provider = work.able(Hibernate)
    await work.links.close(work.desktop.id)
    await provider.hibernate(*work.machine)
    await desktop_state.hibernated(work.desktop.id)


async def take_snapshot(work: Work) -> None:
    """Keep disk and, while it runs, memory; with the picture of that moment."""
    stored = await work.able(Snapshots).take_snapshot(*work.machine, work.snapshot_id)
    if stored.memory and (png := await snapshot_state.picture_of(work.desktop.id)):
        await snapshot_state.keep_picture(work.snapshot_id, png)
    await snapshot_state.note(
        work.snapshot_id, status=SnapshotStatus.READY, size=stored.size, memory=stored.memory
    )


async def make_sure_of_the_undo(work: Work) -> None:
    """Refuse a change before which the desktop was to be kept, and could not be."""
    undo = await snapshot_state.load(work.operation.params.get("undo", ""))
    if undo is None or undo.status != SnapshotStatus.FAILED:
        return
    await desktop_state.note(work.desktop.id, **snapshot_state.caps(undo))
    raise Conflict(
        f"What the desktop is now could not be kept, so it stays as it is: {undo.note}",
        hint="Make room, or remove a snapshot, and try again.",
    )


async def restore_snapshot(work: Work) -> None:
    """Make the machine, which is off, what it was; one that ran then is started again."""
    snapshot = await snapshot_state.load(work.snapshot_id)
    if snapshot is None:
        raise Conflict("The snapshot is no longer there.", hint="Choose another one.")
    await work.able(Snapshots).restore_snapshot(*work.machine, snapshot.id)
    await conversations.end_all(
        work.desktop.id,
        Ended(
            RunStatus.ABORTED,
            error=Conflict(
                f"The desktop was taken back to the snapshot “{snapshot.name}”.",
                hint="Send the message again.",
            ),
        ),
        queued=False,
    )
    await operations.restored(work.operation, snapshot)


async def drop_snapshot(work: Work) -> None:
    """Forget a snapshot."""
    await work.able(Snapshots).drop_snapshot(work.snapshot_id)
    await snapshot_state.forget(work.snapshot_id)


async def discard(work: Work, why: str) -> None:
    """Leave nothing of a snapshot that could not be taken; whoever waits for it reads why."""
    if isinstance(work.provider, Snapshots):
        await work.provider.drop_snapshot(work.snapshot_id)
    await snapshot_state.note(work.snapshot_id, status=SnapshotStatus.FAILED, note=why, size=0)


async def fall_asleep_again(work: Work) -> bool:
    """Hibernate a machine again whose wake was cancelled; whether it hibernates now."""
    machine = await work.inspect()
    if machine is None or not isinstance(work.provider, Hibernate):
        return False
    if machine.power is Power.RUNNING and machine.origin is Origin.HIBERNATION:
        await work.links.close(work.desktop.id)
        await work.provider.hibernate(*work.machine)
        return True
    return machine.power is Power.HIBERNATED
