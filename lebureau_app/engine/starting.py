"""Steps that make a machine, switch it on, and give its guest an identity."""

from lebureau_app.engine.identity import HOST_KEY_FILE, host_key
from lebureau_app.engine.stopping import switch_off
from lebureau_app.engine.work import StartOver, Work
from lebureau_app.errors import Conflict, GuestError, NotYet, ProviderError
from lebureau_app.models import Desktop, Light, SnapshotStatus
from lebureau_app.providers.base import Goldens, Machine, MachineSpec, Origin, Power
from lebureau_app.services import desktop_state, goldens, images, snapshot_state

GUEST_CHANNELS = ("machine", "ssh", "screen", "terminal", "agent")

PATIENCE = 60.0
"""Seconds that a copy of a golden machine has to take its identity; then it is booted instead."""

NO_GOLDEN = "there is no golden machine for this size yet"

_RESUMING = {
    Origin.GOLDEN: "Resuming the golden machine",
    Origin.FORK: "Resuming the copy",
    Origin.SNAPSHOT: "Resuming the snapshot",
    Origin.HIBERNATION: "Waking",
}


async def choose_image(work: Work) -> None:
    """Wait for what the desktop is made of: the original's copy, or else a golden image."""
    if work.desktop.born_of and not work.desktop.ref:
        await _copy_of_the_original(work.desktop.born_of)
    if not work.desktop.image:
        image = await images.newest()
        if image is None:
            building = images.under_way()
            words = building.message if building else ""
            raise NotYet(f"Waiting for the golden image. {words}".rstrip())
        await desktop_state.note(work.desktop.id, image=image)


async def make_machine(work: Work) -> None:
    """Have the provider make the machine, or find the one it made before."""
    spec = desktop_state.spec_of(work.desktop, work.public_key)
    expected = Origin.BOOT if work.desktop.ref else await _prepare_newborn(work, spec)
    ref = await work.provider.create(spec)
    if ref != work.desktop.ref:
        await desktop_state.note(
            work.desktop.id, ref=ref, host_key="", identified="", origin=expected
        )


async def take_turn(work: Work) -> None:
    """Wait until it may be resumed, if it will be."""
    machine = await work.inspect()
    if machine is None or machine.power is Power.RUNNING or work.operation.params.get("cold"):
        return
    if _memory_to_resume(work.desktop, machine):
        await work.turns.take(work.desktop.id)


async def switch_on(work: Work) -> None:
    """Start the machine: resume what there is to resume, or boot it."""
    cold = bool(work.operation.params.get("cold"))
    machine = await work.inspect()
    if cold and _has_no_identity_yet(machine):
        await switch_off(work)
    if work.first:
        await work.say(_what_a_start_is(work, machine, cold))
    if not work.desktop.identified:
        await desktop_state.note(work.desktop.id, host_key="")
    await work.provider.start(*work.machine, cold=cold)
    await _note_boot(work)
    await desktop_state.set_lights(work.desktop.id, GUEST_CHANNELS, Light.STARTING)


async def trust(work: Work) -> None:
    """Make sure who the guest is, over the hypervisor's own channel.

    A guest that was resumed is told, before anything else can reach it. One that was booted has
    made an SSH host key, which is pinned once.
    """
    machine = await _must_run(work)
    if not machine.settled:
        await _give_identity(work, machine)
    elif not work.desktop.host_key:
        if work.first:
            await work.say("Booting; waiting for its SSH host key")
        raw = await work.provider.read_guest_file(*work.machine, HOST_KEY_FILE)
        try:
            await desktop_state.note(
                work.desktop.id, host_key=host_key(raw.decode("ascii", "replace"))
            )
        except GuestError as error:
            raise NotYet(error.message) from error


async def hand_over(work: Work) -> None:
    """Link the guest, and wait for SSH. One that was booted gets its identity over it now.

    The doors of a guest that has been told who it is are open meanwhile, as its lights say.
    """
    await _must_run(work)
    await work.links.open(work.desktop.id)
    if not await work.links.identity(work.desktop.id, 1.0):
        raise NotYet("Waiting for the desktop to answer over SSH.")
    if work.desktop.origin == Origin.GOLDEN:
        await snapshot_state.forget_picture(work.desktop.id)
    await desktop_state.note(work.desktop.id, identified=work.desktop.boot)
    await work.provider.make_way(*work.machine)


async def _copy_of_the_original(snapshot_id: str) -> None:
    snapshot = await snapshot_state.load(snapshot_id)
    if snapshot is None or snapshot.status in (SnapshotStatus.FAILED, SnapshotStatus.DELETING):
        why = snapshot.note if snapshot else "it is no longer there."
        raise Conflict(
            f"The original could not be copied: {why}",
            hint="Destroy this desktop, and fork the original again.",
        )
    if snapshot.status == SnapshotStatus.CREATING:
        raise NotYet("Waiting for the copy of the original.")


async def _prepare_newborn(work: Work, spec: MachineSpec) -> Origin:
    """Find out what a machine that is about to be made will begin from.

    Where that is a golden machine, its picture is kept as the newborn's until its own screen is
    there.
    """
    if spec.snapshot:
        return Origin.FORK
    provider = work.provider
    if not isinstance(provider, Goldens) or (golden := await provider.golden(spec)) is None:
        return Origin.BOOT
    if picture := await provider.golden_picture(golden):
        await snapshot_state.keep_picture(work.desktop.id, picture)
    return Origin.GOLDEN


def _has_no_identity_yet(machine: Machine | None) -> bool:
    return machine is not None and machine.power is Power.RUNNING and not machine.settled


def _memory_to_resume(desktop: Desktop, machine: Machine | None) -> Origin | None:
    """Whose memory a start goes on with, unless it is a cold one."""
    if machine is not None and machine.power is Power.HIBERNATED:
        return Origin.HIBERNATION
    if not desktop.identified and desktop.origin in _RESUMING:
        return Origin(desktop.origin)
    return None


def _what_a_start_is(work: Work, machine: Machine | None, cold: bool) -> str:
    """What is about to happen, for the person who waits."""
    if cold:
        return "Booting"
    if memory := _memory_to_resume(work.desktop, machine):
        return _RESUMING[memory]
    if work.desktop.identified:
        return "Switching the machine on"
    newborn = work.operation.kind == "create"
    return f"Booting: {NO_GOLDEN}" if newborn and goldens.are_made() else "Booting"


async def _note_boot(work: Work) -> None:
    """Write down what this boot began from, and why it took the slow road if it did."""
    machine = await work.inspect()
    if machine is None or machine.power is not Power.RUNNING:
        return
    why = machine.note or work.operation.params.get("why", "")
    newborn = not work.desktop.identified and work.operation.kind == "create"
    if _is_newborn_of_a_golden(work.desktop) and machine.origin is Origin.BOOT:
        await snapshot_state.forget_picture(work.desktop.id)
    if not why and newborn and machine.origin is Origin.BOOT and goldens.are_made():
        why = f"{NO_GOLDEN[0].upper()}{NO_GOLDEN[1:]}, so it was booted."
    await desktop_state.note(
        work.desktop.id, boot=machine.boot, origin=machine.origin, origin_note=why
    )


async def _give_identity(work: Work, machine: Machine) -> None:
    if work.first:
        clone = machine.origin.is_clone
        await work.say(
            "Giving it its own identity" if clone else "Telling it the time and its keys"
        )
    try:
        await work.identities.give(work.desktop, machine)
    except (NotYet, GuestError) as error:
        if machine.origin is Origin.GOLDEN and work.waited > PATIENCE:
            raise _slow_road(f"did not take its identity: {error.message}") from error
        raise NotYet(error.message) from error


async def _must_run(work: Work) -> Machine:
    machine = await work.inspect()
    if machine is None or machine.power in (Power.STOPPED, Power.FAILED, Power.HIBERNATED):
        reason = machine.reason if machine else "the provider no longer has it"
        if machine and _is_newborn_of_a_golden(work.desktop):
            raise _slow_road(f"went off: {reason}")
        raise ProviderError(f"The machine went off while it was starting: {reason}.")
    if machine.power is Power.UNKNOWN:
        raise NotYet(machine.reason)
    if machine.boot != work.desktop.boot:
        await desktop_state.note(work.desktop.id, boot=machine.boot)
    return machine


def _is_newborn_of_a_golden(desktop: Desktop) -> bool:
    return desktop.origin == Origin.GOLDEN and not desktop.identified


def _slow_road(what_happened: str) -> StartOver:
    """Boot a machine that could not be resumed, and say why."""
    return StartOver("boot", cold=True, why=f"The copy of the golden machine {what_happened}")
