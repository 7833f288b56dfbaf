"""Steps that switch a machine off, resize it, and take it apart."""

from lebureau_app.engine.work import Work
from lebureau_app.errors import DesktopDestroyed, DesktopNotRunning, NotYet
from lebureau_app.models import RunStatus, SnapshotKind, Status, lights
from lebureau_app.providers.base import Power, Snapshots
from lebureau_app.services import conversations, desktop_state, snapshot_state
from lebureau_app.services.conversations import Ended


async def shut_down(work: Work) -> None:
    """Ask the guest to shut down, and wait until it has."""
    await work.links.close(work.desktop.id)
    if work.operation.params.get("force") or await is_off(work):
        return
    if work.first:
        await work.provider.stop(*work.machine)
    raise NotYet("Waiting for the desktop to shut down.")


async def switch_off(work: Work) -> None:
    """Make sure that the machine is off, if need be by pulling the plug."""
    await work.links.close(work.desktop.id)
    if not await is_off(work):
        await work.provider.stop(*work.machine, force=True)
        raise NotYet("Waiting for the machine to be off.")


async def note_off(work: Work) -> None:
    """Write down that the desktop is off, and end what its agent was at.

    One that hibernated before it could be stopped stays as it is.
    """
    if await work.power() is Power.HIBERNATED:
        await desktop_state.hibernated(work.desktop.id)
        return
    await conversations.end_all(
        work.desktop.id,
        Ended(
            RunStatus.FAILED,
            error=DesktopNotRunning(
                "The desktop was stopped while the agent was at work.",
                hint="Start the desktop and send the message again.",
            ),
        ),
        queued=False,
    )
    await desktop_state.note(
        work.desktop.id, status=Status.STOPPED, readiness=lights(), activity="", boot=""
    )


async def resize(work: Work) -> None:
    """Give the stopped machine the caps of its tier."""
    wanted = work.operation.params.get("wanted", {})
    desktop = await desktop_state.note(work.desktop.id, **wanted)
    if desktop and desktop.ref:
        await work.provider.resize(
            *work.machine, vcpus=desktop.vcpus, memory=desktop.memory, disk=desktop.disk
        )


async def take_apart(work: Work) -> None:
    """Remove the machine with its disk, its snapshots and its pictures."""
    await work.links.close(work.desktop.id)
    await conversations.end_all(
        work.desktop.id, Ended(RunStatus.FAILED, error=DesktopDestroyed()), queued=True
    )
    ref = work.desktop.ref or await _ref_of_the_unrecorded(work)
    if ref:
        await work.provider.destroy(work.desktop.id, ref)
    if isinstance(work.provider, Snapshots):
        await _drop_snapshots(work, work.provider)
    await snapshot_state.forget_picture(work.desktop.id)


async def is_off(work: Work) -> bool:
    """Whether the machine is off, or has failed since the step began to be carried out."""
    gone = (None, Power.STOPPED, Power.HIBERNATED)
    return await work.power() in (gone if work.first else (*gone, Power.FAILED))


async def _drop_snapshots(work: Work, provider: Snapshots) -> None:
    """Drop all but what a fork may still be born of; housekeeping drops that when it is used up."""
    for snapshot in await snapshot_state.of_desktop(work.desktop.id):
        if snapshot.kind != SnapshotKind.FORK:
            await provider.drop_snapshot(snapshot.id)
            await snapshot_state.forget(snapshot.id)


async def _ref_of_the_unrecorded(work: Work) -> str | None:
    """The identity of a machine that was made right before the server died."""
    machines = await work.provider.inspect_all()
    return next((each.ref for each in machines if each.desktop_id == work.desktop.id), None)
