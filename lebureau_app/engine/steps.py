"""The steps of every kind of operation.

A step is idempotent: after a crash it is carried out again. It raises `NotYet` to be called again
soon, and any other error of ours to fail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lebureau_app.engine.links import Links
from lebureau_app.errors import DesktopDestroyed, DesktopNotRunning, NotYet, ProviderError
from lebureau_app.models import Desktop, Light, Operation, RunStatus, Status, lights
from lebureau_app.providers.base import Power, Provider
from lebureau_app.services import conversations, desktop_state, images
from lebureau_app.services.conversations import Ended

_GUEST_CHANNELS = ("machine", "ssh", "screen", "terminal", "agent")


@dataclass(slots=True)
class Work:
    """What a step works on and with. `desktop` is read anew before every call of a step.

    Attributes:
        first: This is the first call of the step by this process.
    """

    operation: Operation
    desktop: Desktop
    provider: Provider
    links: Links
    public_key: str
    first: bool = True

    @property
    def machine(self) -> tuple[str, str]:
        """How the provider knows the desktop: our id and its identity."""
        return self.desktop.id, self.desktop.ref


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name in the journal, what a person reads meanwhile, and what it does.

    Attributes:
        patient: The operation's deadline begins only after this step.
        limit: Seconds after which the next step takes over; None waits for the deadline.
    """

    name: str
    message: str
    act: Callable[[Work], Awaitable[None]]
    patient: bool = False
    limit: float | None = None


async def choose_image(work: Work) -> None:
    """Bind the desktop to the newest golden image, waiting for one to be built."""
    if not work.desktop.image:
        image = await images.newest()
        if image is None:
            building = images.under_way()
            words = building.message if building else ""
            raise NotYet(f"Waiting for the golden image. {words}".rstrip())
        await desktop_state.note(work.desktop.id, image=image)


async def make_machine(work: Work) -> None:
    """Have the provider make the machine, or find the one it made before."""
    ref = await work.provider.create(desktop_state.spec_of(work.desktop, work.public_key))
    if ref != work.desktop.ref:
        await desktop_state.note(work.desktop.id, ref=ref, host_key="")


async def switch_on(work: Work) -> None:
    """Start the machine."""
    await work.provider.start(*work.machine)
    await desktop_state.set_lights(work.desktop.id, _GUEST_CHANNELS, Light.STARTING)


async def trust(work: Work) -> None:
    """Learn the guest's SSH host key over the hypervisor's own channel, once, and pin it."""
    await _must_run(work)
    if not work.desktop.host_key:
        raw = await work.provider.read_guest_file(
            *work.machine, "/etc/ssh/ssh_host_ed25519_key.pub"
        )
        kind_and_key = " ".join(raw.decode(errors="replace").split()[:2])
        if not kind_and_key.startswith("ssh-ed25519 "):
            raise NotYet("The desktop has not made its SSH host key yet.")
        await desktop_state.note(work.desktop.id, host_key=kind_and_key)


async def hand_over(work: Work) -> None:
    """Give the guest its identity, keys and secrets over SSH; then it is running."""
    await _must_run(work)
    await work.links.open(work.desktop.id)
    if not work.links.has_identity(work.desktop.id):
        raise NotYet("Waiting for the desktop to answer over SSH.")


async def shut_down(work: Work) -> None:
    """Ask the guest to shut down, and wait until it has."""
    await work.links.close(work.desktop.id)
    if work.operation.params.get("force") or await _is_off(work):
        return
    if work.first:
        await work.provider.stop(*work.machine)
    raise NotYet("Waiting for the desktop to shut down.")


async def switch_off(work: Work) -> None:
    """Make sure that the machine is off, if need be by pulling the plug."""
    await work.links.close(work.desktop.id)
    if not await _is_off(work):
        await work.provider.stop(*work.machine, force=True)
        raise NotYet("Waiting for the machine to be off.")


async def note_off(work: Work) -> None:
    """Write down that the desktop is off, and end what its agent was at."""
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
    if work.desktop.ref:
        await work.provider.resize(
            *work.machine,
            vcpus=work.desktop.vcpus,
            memory=work.desktop.memory,
            disk=work.desktop.disk,
        )


async def take_apart(work: Work) -> None:
    """Remove the machine with its disk."""
    await work.links.close(work.desktop.id)
    await conversations.end_all(
        work.desktop.id, Ended(RunStatus.FAILED, error=DesktopDestroyed()), queued=True
    )
    ref = work.desktop.ref or await _ref_of_the_unrecorded(work)
    if ref:
        await work.provider.destroy(work.desktop.id, ref)


async def _ref_of_the_unrecorded(work: Work) -> str | None:
    """The identity of a machine that was made right before the server died."""
    machines = await work.provider.inspect_all()
    return next((each.ref for each in machines if each.desktop_id == work.desktop.id), None)


async def _must_run(work: Work) -> None:
    machine = await work.provider.inspect(*work.machine)
    if machine is None or machine.power in (Power.STOPPED, Power.FAILED):
        reason = machine.reason if machine else "the provider no longer has it"
        raise ProviderError(f"The machine went off while it was starting: {reason}.")
    if machine.boot != work.desktop.boot:
        await desktop_state.note(work.desktop.id, boot=machine.boot)


async def _is_off(work: Work) -> bool:
    machine = await work.provider.inspect(*work.machine) if work.desktop.ref else None
    gone = (Power.STOPPED,) if work.first else (Power.STOPPED, Power.FAILED)
    return machine is None or machine.power in gone


_START = (
    Step("image", "Waiting for the golden image", choose_image, patient=True),
    Step("machine", "Making the machine", make_machine),
    Step("boot", "Switching the machine on", switch_on),
    Step("trust", "Booting; waiting for its SSH host key", trust),
    Step("identity", "Booting; waiting to hand over its identity", hand_over),
)


def plan(kind: str, stop_timeout: float) -> tuple[Step, ...]:
    """The steps of a kind of operation, in order.

    Args:
        kind: One of `operations.TASKS`.
        stop_timeout: Seconds that a guest has to shut down before its plug is pulled.
    """
    stop = (
        Step("shutdown", "Asking the desktop to shut down", shut_down, limit=stop_timeout),
        Step("off", "Switching the machine off", switch_off),
        Step("note", "Writing down that it is off", note_off),
    )
    return {
        "create": _START,
        "start": _START,
        "stop": stop,
        "restart": (*stop, *_START),
        "reconfigure": (Step("resize", "Changing its size", resize),),
        "destroy": (Step("destroy", "Removing the machine and its disk", take_apart),),
    }[kind]
