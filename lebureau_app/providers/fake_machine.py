"""One simulated machine: its power, what is kept of it, and what its guest answers."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from lebureau_app.providers.base import GuestAnswer, Machine, MachineSpec, Origin, Power

OVERLAY_SIZE = 256 << 20
"""Bytes that the disk of a simulated machine occupies."""

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2UgZmFrZSBmYWtlIGZha2UgZmFrZSBmYWtl fake"

_APPLY = "/usr/local/sbin/lebureau-guest"
_ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
"""What an Ed25519 public key in OpenSSH form begins with (RFC 8709)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a simulated machine: a word on its disk, a word in its memory."""

    disk: str = ""
    memory: str = ""


@dataclass(frozen=True, slots=True)
class FakeSnapshot:
    """A simulated machine as it was once.

    Attributes:
        spec: Whose it is, and its caps.
        contents: What was in it.
        has_memory: Whether it ran, so that its memory can be resumed.
    """

    spec: MachineSpec
    contents: Contents
    has_memory: bool

    @property
    def size(self) -> int:
        """Bytes that it occupies."""
        return OVERLAY_SIZE + (kept_memory(self.spec) if self.has_memory else 0)


@dataclass(slots=True)
class FakeMachine:
    """One simulated machine.

    Attributes:
        contents: What a test may write into it and find again.
        pending: What the next start begins from, if not from a boot.
        birth: What it is made of again at every start until it is settled.
        former: What it was before its image was changed, until it has carried over what is its own.
        carried: What its guest tells of that.
        boot_id: The kernel's boot id, as the guest has it; so are `machine_id` and `host_key`.
    """

    spec: MachineSpec
    ref: str
    contents: Contents = field(default_factory=Contents)
    power: Power = Power.STOPPED
    reason: str = ""
    boot: str = ""
    origin: Origin = Origin.BOOT
    note: str = ""
    settled: bool = True
    pending: Origin | None = None
    birth: FakeSnapshot | None = None
    former: FakeSnapshot | None = None
    carried: str = ""
    since: float = 0.0
    stopping_since: float | None = None
    boot_id: str = field(default_factory=lambda: str(uuid4()))
    machine_id: str = field(default_factory=lambda: uuid4().hex)
    host_key: str = HOST_KEY
    log: list[str] = field(default_factory=list)

    @property
    def can_resume(self) -> bool:
        """Whether the next start begins from a memory."""
        return self.pending is not None and (self.birth is None or self.birth.has_memory)

    def switch_on(self, now: float, note: str = "") -> None:
        """Begin a boot from the kernel.

        Args:
            now: The clock's seconds.
            note: Why it took the slow road.
        """
        self.give_up_memory()
        self.contents = Contents(disk=self.contents.disk)
        self.boot_id = str(uuid4())
        self._begin(now, self.pending or Origin.BOOT, note)
        self.log.append("The machine was switched on.")

    def resume(self, now: float) -> None:
        """Begin where the pending memory was left; a hibernated one is used up by it."""
        assert self.pending is not None
        if self.birth is not None:
            self.contents = self.birth.contents
        self._begin(now, self.pending)
        if self.pending is Origin.HIBERNATION:
            self.pending = None
        self.log.append(f"The machine was resumed ({self.origin}).")

    def settle(self) -> None:
        """Its disk is the truth from now on."""
        self.settled, self.pending, self.birth = True, None, None

    def hibernate(self) -> None:
        """Keep the memory, and be off."""
        self.switch_off(Power.HIBERNATED, "Hibernated by Le Bureau.")
        self.pending = Origin.HIBERNATION

    def switch_off(self, power: Power, reason: str) -> None:
        """End a boot, well or badly."""
        self.power, self.reason, self.boot = power, reason, ""
        self.origin, self.note, self.settled = Origin.BOOT, "", True
        self.stopping_since = None
        self.log.append(reason)

    def give_up_memory(self) -> None:
        """Forget what could have been resumed; who was forked stays the copy of another's disk."""
        if self.pending is Origin.GOLDEN:
            self.contents = Contents()
        if self.pending is Origin.FORK and self.birth is not None:
            self.birth = replace(self.birth, has_memory=False)
        else:
            self.pending = self.birth = None

    def snapshot(self) -> FakeSnapshot:
        """What it is now."""
        has_memory = self.power is Power.RUNNING or self.can_resume
        contents = self.contents if has_memory else Contents(disk=self.contents.disk)
        return FakeSnapshot(self.spec, contents, has_memory)

    def be_born_of(self, birth: FakeSnapshot, origin: Origin) -> None:
        """Be what was kept, switched off.

        Args:
            birth: The state that was kept.
            origin: What that makes the first boot: `GOLDEN`, `FORK` or `SNAPSHOT`.
        """
        self.contents = birth.contents
        self.power, self.reason = Power.STOPPED, ""
        if origin.is_clone or birth.has_memory:
            self.pending, self.birth = origin, birth
        else:
            self.pending = self.birth = None

    def change_image(self, image: str) -> None:
        """Be as empty as another image, beside what it was."""
        self.former = self.snapshot()
        self.spec = replace(self.spec, image=image)
        self.contents, self.carried = Contents(), ""

    def carry_over(self, told: str) -> None:
        """Take over what it was.

        Args:
            told: What the guest tells of it; it succeeds with `ok`.
        """
        assert self.former is not None
        self.carried = told
        if told == "ok":
            self.contents = self.former.contents

    def take_image_back(self) -> None:
        """Be off, and what it was before its image was changed."""
        if self.former is None:
            return
        if self.power is not Power.STOPPED:
            self.switch_off(Power.STOPPED, "Stopped by Le Bureau.")
        self.spec, self.contents = self.former.spec, self.former.contents
        self.former, self.carried = None, ""

    def run(self, command: Sequence[str], stdin: bytes) -> GuestAnswer:
        """What the guest answers to a command: it takes an identity, and knows no other."""
        if list(command) != [_APPLY, "apply"]:
            return GuestAnswer(127, b"", b"This machine is simulated.\n")
        if json.loads(stdin)["fresh"]:
            self.machine_id = uuid4().hex
            key = base64.b64encode(_ED25519 + secrets.token_bytes(32)).decode()
            self.host_key = f"ssh-ed25519 {key} fake"
        answer = {
            "ok": True,
            "bootId": self.boot_id,
            "machineId": self.machine_id,
            "hostKey": self.host_key,
            "openclaw": "",
        }
        return GuestAnswer(0, json.dumps(answer).encode() + b"\n", b"")

    def view(self) -> Machine:
        """The machine as the contract shows it."""
        return Machine(
            self.spec.desktop_id,
            self.ref,
            self.power,
            self.reason,
            self.boot,
            self.origin,
            self.note,
            self.settled,
        )

    def _begin(self, now: float, origin: Origin, note: str = "") -> None:
        self.power, self.reason, self.boot = Power.RUNNING, "", uuid4().hex
        self.origin, self.note = origin, note
        self.settled = origin is Origin.BOOT
        self.since, self.stopping_since = now, None


def kept_memory(spec: MachineSpec) -> int:
    """Bytes that the memory of a simulated machine occupies on disk."""
    return spec.memory // 4
