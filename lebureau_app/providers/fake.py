"""A fleet in memory: a supported provider for scale tests, demonstrations and misbehaviour.

Nothing outlives the process. Time comes from an injected clock, so that a test can let an hour
pass in no time at all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from lebureau_app.errors import (
    MemoryRefused,
    NoCapacity,
    NotYet,
    ProviderError,
    UnknownMachine,
)
from lebureau_app.providers.base import (
    CARRIED,
    Capacity,
    Endpoint,
    Fork,
    Golden,
    Goldens,
    GuestAnswer,
    Hibernate,
    Host,
    Machine,
    MachineSpec,
    Origin,
    Power,
    Provider,
    Storage,
    StoredSnapshot,
    Upgrade,
)
from lebureau_app.providers.fake_machine import (
    OVERLAY_SIZE,
    Contents,
    FakeMachine,
    FakeSnapshot,
    kept_memory,
)

CLOSED = Endpoint("127.0.0.1", 1)
"""Where nobody listens: the port of tcpmux (RFC 1078), which no system starts any more."""

HOST_KEY_PATH = "/etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True, slots=True)
class FakeBehaviour:
    """How a fake provider misbehaves. The default is a model pupil.

    Attributes:
        delay: Seconds that every verb takes.
        shutdown: Seconds from a graceful stop until the guest is off; None: it never obeys.
        dies_after: Seconds from its start until a machine dies by itself; None: it lives.
        never: Verbs that answer `NotYet` for ever.
        broken: Verbs that fail with a `ProviderError`.
        lies: Machines are said to be running, and nobody listens on any of their ports.
        forgets: Machines vanish without a trace as soon as they are switched on.
        full: There is no room for any machine, snapshot or memory.
        golden: New machines find a golden machine to resume, whatever their image and size.
        resume_fails: No memory can be resumed.
        carried: What guests tell that carry over what is theirs; empty: they never come to an end.
    """

    delay: float = 0.0
    shutdown: float | None = 0.0
    dies_after: float | None = None
    never: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    lies: bool = False
    forgets: bool = False
    full: bool = False
    golden: bool = False
    resume_fails: bool = False
    carried: str = "ok"


class FakeProvider(Provider, Hibernate, Fork, Goldens, Upgrade):
    """Machines that exist only in memory.

    Args:
        behaviour: How every machine behaves; `behaviours` may say otherwise for one desktop.
        endpoints: Guest port to a real endpoint that stands in for every machine's.
        files: Guest path to what `read_guest_file` answers, beside the guest's SSH host key.
        vcpus: Virtual CPUs of the simulated host.
        memory: Bytes of memory of the simulated host.
        disk: Bytes of disk of the simulated host.
        clock: Seconds of a monotonic clock.
        sleep: Lets seconds pass.
    """

    name = "fake"

    def __init__(
        self,
        behaviour: FakeBehaviour | None = None,
        *,
        endpoints: Mapping[int, Endpoint] | None = None,
        files: Mapping[str, bytes] | None = None,
        vcpus: int = 4096,
        memory: int = 64 << 40,
        disk: int = 1 << 50,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.behaviour = behaviour or FakeBehaviour()
        self.behaviours: dict[str, FakeBehaviour] = {}
        self.machines: dict[str, FakeMachine] = {}
        self._endpoints = dict(endpoints or {})
        self.snapshots: dict[str, FakeSnapshot] = {}
        self._goldens: dict[str, Golden] = {}
        self._golden_pictures: dict[str, bytes] = {}
        self._warm: dict[str, Contents] = {}
        self._files = dict(files or {})
        self._vcpus, self._memory, self._disk = vcpus, memory, disk
        self._clock, self._sleep = clock, sleep

    async def capacity(self) -> Capacity:
        """One simulated host."""
        machines = self.machines.values()
        awake = [machine.spec for machine in machines if machine.power is not Power.HIBERNATED]
        host = Host(
            name="fake",
            provider=self.name,
            online=True,
            accelerator="none",
            vcpus=self._vcpus,
            memory_total=self._memory,
            memory_free=self._memory - sum(spec.memory for spec in awake),
            disk_total=self._disk,
            disk_free=self._disk - sum(machine.spec.disk for machine in machines),
            desktops=len(machines),
            note="Simulated machines: nothing runs in them.",
        )
        return Capacity([host])

    async def check(self, spec: MachineSpec) -> None:
        """Refuse what the simulated host cannot carry."""
        behaviour = await self._begin("check", spec.desktop_id)
        await self._require_room(spec, behaviour)

    async def create(self, spec: MachineSpec) -> str:
        """Make a simulated machine, switched off."""
        behaviour = await self._begin("create", spec.desktop_id)
        if spec.desktop_id not in self.machines:
            await self._require_room(spec, behaviour)
            self.machines[spec.desktop_id] = self._newborn(spec, behaviour)
        return self.machines[spec.desktop_id].ref

    async def start(self, desktop_id: str, ref: str, *, cold: bool = False) -> None:
        """Switch on, by a resume where there is a memory."""
        behaviour = await self._begin("start", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.power is Power.RUNNING:
            return
        if behaviour.full:
            raise NoCapacity
        if cold or not machine.can_resume:
            machine.switch_on(self._clock())
        elif not behaviour.resume_fails:
            machine.resume(self._clock())
        elif machine.pending is Origin.GOLDEN:
            machine.switch_on(self._clock(), note="The golden machine could not be resumed.")
        else:
            raise MemoryRefused
        if machine.former:
            machine.carry_over(behaviour.carried)
        if behaviour.forgets:
            self.forget(desktop_id)

    async def settle(self, desktop_id: str, ref: str) -> None:
        """Take note that the guest has its identity."""
        await self._begin("settle", desktop_id)
        self._proved(desktop_id, ref).settle()

    async def stop(self, desktop_id: str, ref: str, *, force: bool = False) -> None:
        """Shut down, in as much time as the behaviour says."""
        await self._begin("stop", desktop_id)
        machine = self._proved(desktop_id, ref)
        if force and machine.power not in (Power.STOPPED, Power.HIBERNATED):
            machine.switch_off(Power.STOPPED, "Stopped by Le Bureau.")
        elif machine.power is Power.RUNNING and machine.stopping_since is None:
            machine.stopping_since = self._clock()

    async def restart(self, desktop_id: str, ref: str) -> None:
        """Begin a new boot; a machine that has no identity yet begins anew."""
        await self._begin("restart", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.can_resume:
            machine.resume(self._clock())
        else:
            machine.switch_on(self._clock())

    async def destroy(self, desktop_id: str, ref: str) -> None:
        """Forget the machine, if it is the right one."""
        await self._begin("destroy", desktop_id)
        if desktop_id in self.machines:
            self._proved(desktop_id, ref)
            self.forget(desktop_id)

    async def resize(
        self, desktop_id: str, ref: str, *, vcpus: int, memory: int, disk: int
    ) -> None:
        """Set the caps of a stopped machine."""
        await self._begin("resize", desktop_id)
        machine = self._proved(desktop_id, ref)
        _require_changeable(machine, "resized")
        larger = max(disk, machine.spec.disk)
        machine.spec = replace(machine.spec, vcpus=vcpus, memory=memory, disk=larger)

    async def change_image(self, desktop_id: str, ref: str, image: str) -> None:
        """Let the machine be as empty as its new image, and keep what was in it."""
        behaviour = await self._begin("change_image", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.spec.image != image:
            _require_changeable(machine, "put on another image")
            if behaviour.full:
                raise NoCapacity("The simulated host has no room for another disk.")
            machine.change_image(image)

    async def keep_image(self, desktop_id: str, ref: str) -> None:
        """Forget what was in the machine before."""
        await self._begin("keep_image", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.former and machine.power is Power.RUNNING:
            raise ProviderError("A running machine keeps its former disk.", hint="Stop it first.")
        machine.former = None

    async def take_image_back(self, desktop_id: str, ref: str) -> str:
        """Let the machine be what it was before."""
        await self._begin("take_image_back", desktop_id)
        machine = self._proved(desktop_id, ref)
        machine.take_image_back()
        return machine.spec.image

    async def inspect(self, desktop_id: str, ref: str) -> Machine | None:
        """The simulated machine, after the time that has passed had its effect."""
        await self._begin("inspect", desktop_id)
        machine = self.machines.get(desktop_id)
        if machine is None or machine.ref != ref:
            return None
        return self._settled(machine).view()

    async def inspect_all(self) -> list[Machine]:
        """The whole fleet."""
        await self._begin("inspect_all", "")
        return [self._settled(machine).view() for machine in self.machines.values()]

    async def endpoint(self, desktop_id: str, ref: str, port: int) -> Endpoint:
        """The endpoint that a test gave, or one where nobody listens."""
        behaviour = await self._begin("endpoint", desktop_id)
        if self._proved(desktop_id, ref).power is not Power.RUNNING:
            raise UnknownMachine("This desktop's machine is not running.")
        return CLOSED if behaviour.lies else self._endpoints.get(port, CLOSED)

    async def read_guest_file(self, desktop_id: str, ref: str, path: str) -> bytes:
        """What a test put there, or the guest's SSH host key."""
        await self._begin("read_guest_file", desktop_id)
        machine = self._proved(desktop_id, ref)
        told = {CARRIED: f"{machine.carried}\n".encode()} if machine.carried else {}
        files = {HOST_KEY_PATH: f"{machine.host_key}\n".encode(), **told, **self._files}
        if machine.power is not Power.RUNNING or path not in files:
            raise NotYet(f"The desktop does not have {path} yet.")
        return files[path]

    async def run_in_guest(
        self,
        desktop_id: str,
        ref: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> GuestAnswer:
        """What `lebureau-guest apply` answers, if that is the command."""
        behaviour = await self._begin("run_in_guest", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.power is not Power.RUNNING or behaviour.lies:
            raise NotYet("The guest agent does not answer yet.")
        return machine.run(command, stdin)

    async def hibernate(self, desktop_id: str, ref: str) -> None:
        """Keep what is in memory, and be off."""
        behaviour = await self._begin("hibernate", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.power is Power.HIBERNATED:
            return
        if machine.power is not Power.RUNNING:
            raise ProviderError(
                "A machine that does not run has no memory to keep.", hint="Start it first."
            )
        _require_identity(machine)
        _require_no_upgrade(machine)
        if behaviour.full:
            raise NoCapacity("The simulated host has no room for the memory of this desktop.")
        machine.hibernate()

    async def take_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> StoredSnapshot:
        """Keep what is in the machine now."""
        behaviour = await self._begin("take_snapshot", desktop_id)
        machine = self._proved(desktop_id, ref)
        if snapshot_id not in self.snapshots:
            _require_no_upgrade(machine)
            _require_identity(machine)
            _require_no_clone(machine)
            if behaviour.full:
                raise NoCapacity("The simulated host has no room for another snapshot.")
            self.snapshots[snapshot_id] = machine.snapshot()
        return _stored(snapshot_id, self._own_snapshot(snapshot_id, desktop_id))

    async def restore_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> None:
        """Let the machine be what it was."""
        await self._begin("restore_snapshot", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.power is Power.RUNNING:
            raise ProviderError("A running machine cannot be restored.", hint="Stop it first.")
        _require_no_upgrade(machine)
        snapshot = self._own_snapshot(snapshot_id, desktop_id)
        machine.spec = replace(snapshot.spec, name=machine.spec.name)
        machine.be_born_of(snapshot, Origin.SNAPSHOT)

    async def drop_snapshot(self, snapshot_id: str) -> None:
        """Forget it."""
        await self._begin("drop_snapshot", "")
        self.snapshots.pop(snapshot_id, None)

    async def stored_snapshots(self) -> list[StoredSnapshot]:
        """All of them."""
        await self._begin("stored_snapshots", "")
        return [_stored(*each) for each in self.snapshots.items()]

    async def storage(self, desktop_id: str, ref: str) -> Storage:
        """An overlay of always the same size, and a quarter of the memory."""
        await self._begin("storage", desktop_id)
        machine = self._proved(desktop_id, ref)
        hibernated = machine.power is Power.HIBERNATED
        return Storage(OVERLAY_SIZE, kept_memory(machine.spec) if hibernated else 0)

    async def tidy(self) -> bool:
        """Simulated disks are tidy."""
        await self._begin("tidy", "")
        return False

    async def golden(self, spec: MachineSpec) -> Golden | None:
        """The one that was kept for this image and size, or one that the behaviour promises."""
        return self._golden(spec, await self._begin("golden", spec.desktop_id))

    async def goldens(self) -> list[Golden]:
        """Those that were kept."""
        await self._begin("goldens", "")
        return list(self._goldens.values())

    async def keep_golden(self, desktop_id: str, ref: str, picture: bytes = b"") -> Golden:
        """Let the machine become the golden one of its image and size."""
        behaviour = await self._begin("keep_golden", desktop_id)
        machine = self._proved(desktop_id, ref)
        if not machine.spec.golden or machine.power is not Power.RUNNING:
            raise ProviderError("Only a running machine that was made for it can become golden.")
        if behaviour.full:
            raise NoCapacity("The simulated host has no room for another golden machine.")
        golden = _golden_of(machine.spec)
        self._goldens[golden.key] = golden
        self._golden_pictures[golden.key] = picture
        self._warm[golden.key] = machine.contents
        self.forget(desktop_id)
        return golden

    async def golden_picture(self, golden: Golden) -> bytes:
        """The picture that was kept with it."""
        return self._golden_pictures.get(golden.key, b"")

    async def sweep_goldens(self) -> None:
        """Simulated goldens are never in the way."""
        await self._begin("sweep_goldens", "")

    async def log_tail(self, desktop_id: str, ref: str, lines: int = 50) -> str:
        """What happened to the machine."""
        return "\n".join(self._proved(desktop_id, ref).log[-lines:])

    def die(self, desktop_id: str, reason: str = "The machine died.") -> None:
        """Let a machine die, as if its process had been killed."""
        self.machines[desktop_id].switch_off(Power.FAILED, reason)

    def shut_down(self, desktop_id: str) -> None:
        """Let a guest shut down by itself."""
        self.machines[desktop_id].switch_off(Power.STOPPED, "The guest shut down.")

    def forget(self, desktop_id: str) -> None:
        """Lose a machine without a trace."""
        self.machines.pop(desktop_id, None)

    async def _begin(self, verb: str, desktop_id: str) -> FakeBehaviour:
        """Carry out what the behaviour has to say about this verb before it does its work."""
        behaviour = self.behaviours.get(desktop_id, self.behaviour)
        if behaviour.delay:
            await self._sleep(behaviour.delay)
        if verb in behaviour.never:
            raise NotYet
        if verb in behaviour.broken:
            raise ProviderError(f"The fake provider fails every “{verb}”, as it was told to.")
        return behaviour

    def _newborn(self, spec: MachineSpec, behaviour: FakeBehaviour) -> FakeMachine:
        """A machine as it is right after `create`."""
        if spec.snapshot:
            birth = self._snapshot(spec.snapshot)
            caps = birth.spec
            spec = replace(
                spec, image=caps.image, vcpus=caps.vcpus, memory=caps.memory, disk=caps.disk
            )
            machine = FakeMachine(spec, ref=str(uuid4()))
            machine.be_born_of(birth, Origin.FORK)
            return machine
        machine = FakeMachine(spec, ref=str(uuid4()))
        if not spec.golden and (golden := self._golden(spec, behaviour)):
            warm = self._warm.get(golden.key, Contents())
            machine.be_born_of(FakeSnapshot(spec, warm, has_memory=True), Origin.GOLDEN)
        return machine

    def _golden(self, spec: MachineSpec, behaviour: FakeBehaviour) -> Golden | None:
        promised = _golden_of(spec)
        return promised if behaviour.golden else self._goldens.get(promised.key)

    def _snapshot(self, snapshot_id: str) -> FakeSnapshot:
        if snapshot_id not in self.snapshots:
            raise _no_such_snapshot(snapshot_id)
        return self.snapshots[snapshot_id]

    def _own_snapshot(self, snapshot_id: str, desktop_id: str) -> FakeSnapshot:
        snapshot = self._snapshot(snapshot_id)
        if snapshot.spec.desktop_id != desktop_id:
            raise _no_such_snapshot(snapshot_id)
        return snapshot

    async def _require_room(self, spec: MachineSpec, behaviour: FakeBehaviour) -> None:
        (host,) = (await self.capacity()).hosts
        if behaviour.full or spec.memory > host.memory_free or spec.disk > host.disk_free:
            raise NoCapacity("The simulated host has no room for another desktop of this size.")

    def _proved(self, desktop_id: str, ref: str) -> FakeMachine:
        machine = self.machines.get(desktop_id)
        if machine is None or machine.ref != ref:
            raise UnknownMachine
        return self._settled(machine)

    def _settled(self, machine: FakeMachine) -> FakeMachine:
        """Let the time that has passed have its effect on the machine."""
        behaviour = self.behaviours.get(machine.spec.desktop_id, self.behaviour)
        if machine.power is not Power.RUNNING:
            return machine
        now = self._clock()
        if behaviour.dies_after is not None and now - machine.since >= behaviour.dies_after:
            machine.switch_off(Power.FAILED, "The machine died.")
        elif (
            machine.stopping_since is not None
            and behaviour.shutdown is not None
            and now - machine.stopping_since >= behaviour.shutdown
        ):
            machine.switch_off(Power.STOPPED, "Stopped by Le Bureau.")
        return machine


def _require_identity(machine: FakeMachine) -> None:
    """Refuse to keep the state of a machine that would begin anew."""
    if machine.birth is not None and machine.power is Power.RUNNING:
        raise ProviderError(
            "This desktop has not got its identity yet.", hint="Wait until it is ready."
        )


def _require_changeable(machine: FakeMachine, what: str) -> None:
    """Refuse to change a machine that is not off, or has a memory to resume."""
    if machine.power is Power.RUNNING:
        raise ProviderError(f"A running machine cannot be {what}.", hint="Stop it first.")
    _require_no_upgrade(machine)
    if machine.pending is not None:
        raise ProviderError(
            f"A machine whose memory waits to be resumed cannot be {what}.",
            hint="Start the desktop, then stop it.",
        )


def _require_no_upgrade(machine: FakeMachine) -> None:
    """Refuse what would lose the former disk of a machine, or keep it with another disk."""
    if machine.former:
        raise ProviderError(
            "The image of this desktop is being upgraded.",
            hint="Wait until that is done, or cancel it.",
        )


def _require_no_clone(machine: FakeMachine) -> None:
    """Refuse to keep a disk whose guest has never had an identity of its own."""
    if machine.pending is not None and machine.pending.is_clone:
        raise ProviderError("This desktop has never been used.", hint="Start it first.")


def _no_such_snapshot(snapshot_id: str) -> ProviderError:
    return ProviderError(
        f"There is no snapshot {snapshot_id} of this desktop on this host.",
        hint="It may have been deleted. Look at the list of snapshots.",
    )


def _stored(snapshot_id: str, kept: FakeSnapshot) -> StoredSnapshot:
    return StoredSnapshot(snapshot_id, kept.spec.desktop_id, kept.size, kept.has_memory)


def _golden_of(spec: MachineSpec) -> Golden:
    key = f"{spec.image}-{spec.vcpus}-{spec.memory}-{spec.disk}"
    return Golden(key, spec.image, spec.vcpus, spec.memory, spec.disk, kept_memory(spec))
