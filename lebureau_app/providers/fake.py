"""A fleet in memory: a supported provider for scale tests, demonstrations and misbehaviour.

Nothing outlives the process. Time comes from an injected clock, so that a test can let an hour
pass in no time at all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from lebureau_app.errors import NoCapacity, NotYet, ProviderError, UnknownMachine
from lebureau_app.providers.base import (
    Capacity,
    Endpoint,
    GuestAnswer,
    Host,
    Machine,
    MachineSpec,
    Power,
    Provider,
)

CLOSED = Endpoint("127.0.0.1", 1)
"""Where nobody listens: the port of tcpmux (RFC 1078), which no system starts any more."""

HOST_KEY_PATH = "/etc/ssh/ssh_host_ed25519_key.pub"
HOST_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2UgZmFrZSBmYWtlIGZha2UgZmFrZSBmYWtl fake\n"


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
        full: There is no room for any machine.
    """

    delay: float = 0.0
    shutdown: float | None = 0.0
    dies_after: float | None = None
    never: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    lies: bool = False
    forgets: bool = False
    full: bool = False


@dataclass(slots=True)
class FakeMachine:
    """One simulated machine."""

    spec: MachineSpec
    ref: str
    power: Power = Power.STOPPED
    reason: str = ""
    boot: str = ""
    since: float = 0.0
    stopping_since: float | None = None
    log: list[str] = field(default_factory=list)

    def switch_on(self, now: float) -> None:
        """Begin a boot."""
        self.power, self.reason, self.boot = Power.RUNNING, "", uuid4().hex
        self.since, self.stopping_since = now, None
        self.log.append("The machine was switched on.")

    def switch_off(self, power: Power, reason: str) -> None:
        """End a boot, well or badly."""
        self.power, self.reason, self.boot = power, reason, ""
        self.stopping_since = None
        self.log.append(reason)

    def view(self) -> Machine:
        """The machine as the contract shows it."""
        return Machine(self.spec.desktop_id, self.ref, self.power, self.reason, self.boot)


class FakeProvider(Provider):
    """Machines that exist only in memory.

    Args:
        behaviour: How every machine behaves; `behaviours` may say otherwise for one desktop.
        endpoints: Guest port to a real endpoint that stands in for every machine's.
        files: Guest path to what `read_guest_file` answers, beside an SSH host key.
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
        self._files = {HOST_KEY_PATH: HOST_KEY, **(files or {})}
        self._vcpus, self._memory, self._disk = vcpus, memory, disk
        self._clock, self._sleep = clock, sleep

    async def capacity(self) -> Capacity:
        """One simulated host."""
        specs = [machine.spec for machine in self.machines.values()]
        host = Host(
            name="fake",
            provider=self.name,
            online=True,
            accelerator="none",
            vcpus=self._vcpus,
            memory_total=self._memory,
            memory_free=self._memory - sum(spec.memory for spec in specs),
            disk_total=self._disk,
            disk_free=self._disk - sum(spec.disk for spec in specs),
            desktops=len(specs),
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
            self.machines[spec.desktop_id] = FakeMachine(spec, ref=str(uuid4()))
        return self.machines[spec.desktop_id].ref

    async def start(self, desktop_id: str, ref: str, *, cold: bool = False) -> None:
        """Switch on."""
        behaviour = await self._begin("start", desktop_id)
        machine = self._proved(desktop_id, ref)
        if machine.power is Power.RUNNING:
            return
        if behaviour.full:
            raise NoCapacity
        machine.switch_on(self._clock())
        if behaviour.forgets:
            self.forget(desktop_id)

    async def settle(self, desktop_id: str, ref: str) -> None:
        """Nothing to take note of."""
        await self._begin("settle", desktop_id)

    async def stop(self, desktop_id: str, ref: str, *, force: bool = False) -> None:
        """Shut down, in as much time as the behaviour says."""
        await self._begin("stop", desktop_id)
        machine = self._proved(desktop_id, ref)
        if force and machine.power is not Power.STOPPED:
            machine.switch_off(Power.STOPPED, "Stopped by Le Bureau.")
        elif machine.power is Power.RUNNING and machine.stopping_since is None:
            machine.stopping_since = self._clock()

    async def restart(self, desktop_id: str, ref: str) -> None:
        """Begin a new boot."""
        await self._begin("restart", desktop_id)
        self._proved(desktop_id, ref).switch_on(self._clock())

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
        if machine.power is Power.RUNNING:
            raise ProviderError("A running machine cannot be resized.", hint="Stop it first.")
        old = machine.spec
        machine.spec = MachineSpec(
            old.desktop_id,
            old.name,
            old.image,
            vcpus,
            memory,
            max(disk, old.disk),
            old.authorized_key,
        )

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
        """What a test put there."""
        await self._begin("read_guest_file", desktop_id)
        running = self._proved(desktop_id, ref).power is Power.RUNNING
        if not running or path not in self._files:
            raise NotYet(f"The desktop does not have {path} yet.")
        return self._files[path]

    async def run_in_guest(
        self,
        desktop_id: str,
        ref: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> GuestAnswer:
        """Nobody is at home."""
        await self._begin("run_in_guest", desktop_id)
        raise NotYet("There is nothing inside a simulated machine.")

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
