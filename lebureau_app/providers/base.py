"""The provider contract: where desktops run.

A provider knows machines and nothing else: it never touches the database. Every verb is async,
idempotent, returns as soon as it can, and keeps the identity of a machine in the machine's own
metadata, so that it can be proved before anything is done to it. Unknown means: do not destroy.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Power(StrEnum):
    """What a machine is doing, as far as the provider can prove."""

    RUNNING = "running"
    STOPPED = "stopped"
    HIBERNATED = "hibernated"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """What the current boot of a machine began from: a kernel, or a memory that was kept."""

    BOOT = "boot"
    GOLDEN = "golden"
    FORK = "fork"
    SNAPSHOT = "snapshot"
    HIBERNATION = "hibernation"

    @property
    def is_clone(self) -> bool:
        """Whether the guest begins as the copy of another one and needs an identity of its own."""
        return self in (Origin.GOLDEN, Origin.FORK)


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What to make.

    Attributes:
        desktop_id: Our id (`dsk_…`); kept in the machine's own metadata.
        name: The desktop's name; becomes the guest's hostname at first boot.
        image: Id of the golden image.
        vcpus: Number of virtual CPUs.
        memory: Bytes of memory.
        disk: Bytes of disk.
        authorized_key: Our SSH public key in OpenSSH form.
        snapshot: Id of the snapshot of another machine to be born from (`Fork`); empty for a
            machine that begins as its image does.
        golden: The machine is made to be kept as a golden one (`Goldens`).
    """

    desktop_id: str
    name: str
    image: str
    vcpus: int
    memory: int
    disk: int
    authorized_key: str
    snapshot: str = ""
    golden: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the provider has it.

    Attributes:
        desktop_id: Our id, read from the machine's own metadata.
        ref: The provider's identity for this machine (qemu: its UUID; proxmox: `node/vmid/uuid`).
        power: What it is doing.
        reason: For `stopped` and `failed`: why, for a person (`the guest shut down`, …).
        boot: Changes with each boot of the machine by the provider, a resume included; empty when
            it is off.
        origin: What this boot began from.
        note: Why this boot took the slow road, for a person; empty if it did not.
        settled: Whether `settle` was called since the memory was resumed; true after a plain boot.
    """

    desktop_id: str
    ref: str
    power: Power
    reason: str = ""
    boot: str = ""
    origin: Origin = Origin.BOOT
    note: str = ""
    settled: bool = True


@dataclass(frozen=True, slots=True)
class GuestAnswer:
    """What a command in the guest answered over the hypervisor's own channel."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a guest's port can be reached from this process."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that carries desktops. Memory and disk in bytes.

    Attributes:
        accelerator: `kvm` or `tcg`, found out by running, not by looking.
        note: What a person should know, such as why there is no KVM; may be empty.
    """

    name: str
    provider: str
    online: bool
    accelerator: str
    vcpus: int
    memory_total: int
    memory_free: int
    disk_total: int
    disk_free: int
    desktops: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is left for new desktops, over all hosts."""

    hosts: list[Host] = field(default_factory=list)


class Provider(ABC):
    """Where desktops run.

    Errors of every verb: `ProviderError` for a fault of the provider (its message is for a person),
    `NoCapacity` where there is no room, `UnknownMachine` where the machine is not there or cannot
    be proved to be ours, `NotYet` where the verb was accepted and must be called again.
    """

    name: str

    async def open(self) -> None:  # noqa: B027
        """Get ready: called once before any other verb, also after a restart of the server."""

    async def close(self) -> None:  # noqa: B027
        """Let go of connections; machines keep running."""

    @abstractmethod
    async def capacity(self) -> Capacity:
        """What hosts there are and what they have left. Never raises for one broken host."""

    @abstractmethod
    async def check(self, spec: MachineSpec) -> None:
        """Refuse early what cannot be carried.

        Raises:
            NoCapacity: No host has room for this machine; the sentence says what is missing.
        """

    @abstractmethod
    async def create(self, spec: MachineSpec) -> str:
        """Make the machine, switched off.

        Called again with the same `desktop_id` it answers the machine that is there.

        Returns:
            The provider's identity for the machine (`Machine.ref`).
        """

    @abstractmethod
    async def start(self, desktop_id: str, ref: str, *, cold: bool = False) -> None:
        """Switch the machine on. A running machine is left alone.

        A machine with a memory to resume resumes it: a newborn one that of its golden machine or
        of the snapshot it is born from, a hibernated one its own, a restored one its snapshot's.
        A newborn whose resume fails is booted instead, and `Machine.note` says why. Until `settle`
        is called, every start of a newborn or restored machine begins anew from the same memory
        and disk; a hibernated memory is resumed once.

        Args:
            desktop_id: Which machine.
            ref: Its identity.
            cold: Boot, and give up whatever memory there was to resume. A newborn begins as its
                image does then.

        Raises:
            MemoryRefused: A memory that is not to be had again (hibernated, snapshot, fork) cannot
                be resumed here; it is kept, and the sentence says why.
        """

    @abstractmethod
    async def settle(self, desktop_id: str, ref: str) -> None:
        """Take note that a resumed guest has its identity: its disk is the truth from now on."""

    async def make_way(self, desktop_id: str, ref: str) -> None:  # noqa: B027
        """The machine has started: others that start get the CPU before it until it goes off.

        Does nothing where the hypervisor's own ranking is enough.
        """

    @abstractmethod
    async def stop(self, desktop_id: str, ref: str, *, force: bool = False) -> None:
        """Ask the guest to shut down, or pull the plug with `force`.

        Returns at once; `inspect` tells when it has happened. A stopped machine is left alone.
        """

    @abstractmethod
    async def restart(self, desktop_id: str, ref: str) -> None:
        """Reset the machine (after the guest was asked to go down by the caller, if it was).

        A machine that is not running is switched on.
        """

    @abstractmethod
    async def destroy(self, desktop_id: str, ref: str) -> None:
        """Remove the machine with its disk, running or not.

        The identity is read again right before. A machine that is not there is a success; one
        that cannot be proved to be ours is left alone.

        Raises:
            UnknownMachine: Something is there under this id, but it is not provably ours.
        """

    @abstractmethod
    async def resize(
        self, desktop_id: str, ref: str, *, vcpus: int, memory: int, disk: int
    ) -> None:
        """Set the caps of a stopped machine. Sizes in bytes; a disk never shrinks."""

    @abstractmethod
    async def inspect(self, desktop_id: str, ref: str) -> Machine | None:
        """The machine as it is now, or None where there is none by this id and identity."""

    @abstractmethod
    async def inspect_all(self) -> list[Machine]:
        """Every machine in our own range, strangers that carry no id of ours left out."""

    @abstractmethod
    async def endpoint(self, desktop_id: str, ref: str, port: int) -> Endpoint:
        """How to reach TCP `port` (22, 6080 or 7681) of the running guest.

        Raises:
            UnknownMachine: The machine is not running.
        """

    @abstractmethod
    async def read_guest_file(self, desktop_id: str, ref: str, path: str) -> bytes:
        """A small file of the guest, over the channel that only the hypervisor has.

        Raises:
            NotYet: The guest agent does not answer yet, or the file is not there yet.
        """

    @abstractmethod
    async def run_in_guest(
        self,
        desktop_id: str,
        ref: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> GuestAnswer:
        """Run a short command as root, over the channel that only the hypervisor has.

        Args:
            desktop_id: Which machine.
            ref: Its identity.
            command: Program and arguments; no secret may be among them.
            stdin: What the command reads; secrets belong here.
            timeout: Seconds.

        Raises:
            NotYet: The guest agent does not answer (in time).
        """

    @abstractmethod
    async def log_tail(self, desktop_id: str, ref: str, lines: int = 50) -> str:
        """The end of the machine's own log (console, hypervisor), for a person."""


class Upgrade(ABC):
    """Ability: a machine goes over to another golden image, and carries over what is its own.

    Between `change_image` and `keep_image` or `take_image_back` the guest finds its former disk
    beside the new one; what becomes of it, it tells in `CARRIED`. Meanwhile the machine is started,
    stopped and destroyed like any other, and refuses to be resized, hibernated, kept or restored.
    """

    @abstractmethod
    async def change_image(self, desktop_id: str, ref: str, image: str) -> None:
        """Put the machine, which must be off, on a fresh disk of another golden image.

        A machine that has that image, or is on its way to it, is left alone.

        Args:
            desktop_id: Which machine.
            ref: Its identity.
            image: Id of the golden image.

        Raises:
            ProviderError: The machine runs, or has a memory to resume; or the image is not there,
                or does not fit its disk. Nothing has changed.
        """

    @abstractmethod
    async def keep_image(self, desktop_id: str, ref: str) -> None:
        """Let go of the former disk of the machine, which must be off. There is no way back then.

        A machine that has no former disk is left alone.
        """

    @abstractmethod
    async def take_image_back(self, desktop_id: str, ref: str) -> str:
        """End the machine, and give it its former disk and image back.

        A machine that has no former disk is left alone.

        Returns:
            Id of the golden image that it has now.

        Raises:
            NotYet: It is decided, and not done yet.
        """


CARRIED = "/var/lib/lebureau/carried"
"""Where a guest tells how carrying over went: `ok`, or in a sentence why it failed."""


class Egress(ABC):
    """Ability: the guest's one way out ends at a Unix socket on this machine."""

    @abstractmethod
    def egress_socket(self, desktop_id: str) -> Path:
        """Where the egress proxy of this desktop has to listen.

        The folder is there, readable by nobody else, from `create` until `destroy`.
        """


class Hibernate(ABC):
    """Ability: a machine gives its memory back to the host and keeps what is in it."""

    @abstractmethod
    async def hibernate(self, desktop_id: str, ref: str) -> None:
        """Write the running machine's memory to disk, then end it. `start` wakes it.

        A hibernated machine is left alone. Whatever goes wrong, the machine either goes on running
        or is hibernated, and nothing of it is lost.

        Raises:
            NoCapacity: The disk has no room for the memory; the machine goes on.
            ProviderError: It could not be done; the machine goes on, or is off as it was.
        """


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot as the provider has it.

    Attributes:
        id: Our id (`snp_…`).
        desktop_id: Whose machine it was taken of.
        size: Bytes on disk that are kept for it alone.
        memory: Whether it holds the memory of a running machine.
    """

    id: str
    desktop_id: str
    size: int
    memory: bool


@dataclass(frozen=True, slots=True)
class Storage:
    """What a machine occupies on disk, in bytes: its own disk, its kept memory."""

    disk: int
    memory: int


class Snapshots(ABC):
    """Ability: the state of a machine is kept, and brought back."""

    @abstractmethod
    async def take_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> StoredSnapshot:
        """Keep the machine as it is now: its disk and, while it runs, its memory.

        A running machine goes on, after a pause of less than a second. Called again with the same
        `snapshot_id` it answers the snapshot that is there.

        Raises:
            NoCapacity: The disk has no room for it; nothing has changed.
        """

    @abstractmethod
    async def restore_snapshot(self, desktop_id: str, ref: str, snapshot_id: str) -> None:
        """Make the machine, which must be off, what it was: disk, caps, and memory if it has one.

        The next `start` resumes that memory. What the machine has become since is gone.

        Raises:
            ProviderError: There is no such snapshot of this machine, or the machine runs.
        """

    @abstractmethod
    async def drop_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot; one that is not there is a success. Machines born of it live on."""

    @abstractmethod
    async def stored_snapshots(self) -> list[StoredSnapshot]:
        """Every snapshot there is."""

    @abstractmethod
    async def storage(self, desktop_id: str, ref: str) -> Storage:
        """What the machine occupies, without its snapshots."""

    @abstractmethod
    async def tidy(self) -> bool:
        """Do one piece of housekeeping in the background: shorten a chain of disks, remove a disk
        that nothing stands on any more.

        Returns:
            Whether there may be more to do.
        """


class Fork(Snapshots):
    """Ability: `create` makes machines out of another machine's snapshot (`MachineSpec.snapshot`).

    The new machine has the caps of the snapshot, and is `Origin.FORK` after its first start.
    """


@dataclass(frozen=True, slots=True)
class Golden:
    """The memory of a booted machine, which new machines of one size resume.

    Attributes:
        key: Fingerprint over everything that must be the same to resume it.
        image: The golden image it was booted from.
        vcpus: Number of virtual CPUs.
        memory: Bytes of memory.
        disk: Bytes of disk.
        size: Bytes that it occupies.
    """

    key: str
    image: str
    vcpus: int
    memory: int
    disk: int
    size: int


class Goldens(ABC):
    """Ability: new machines resume the memory of a golden one.

    A golden machine is made like any other, with `MachineSpec.golden`; somebody uses it until
    everything in it is warm, and `keep_golden` makes it the origin of all that come after it.
    """

    @abstractmethod
    async def golden(self, spec: MachineSpec) -> Golden | None:
        """The golden machine that `create(spec)` would use now, checked; None if there is none."""

    @abstractmethod
    async def goldens(self) -> list[Golden]:
        """Every golden machine that may be used, checked or not."""

    @abstractmethod
    async def keep_golden(self, desktop_id: str, ref: str, picture: bytes = b"") -> Golden:
        """Keep the running machine's memory and disk as a golden one; the machine is gone then.

        Args:
            desktop_id: The machine's id.
            ref: What `create` returned.
            picture: What is on its screen, as PNG; empty where it has none.
        """

    @abstractmethod
    async def golden_picture(self, golden: Golden) -> bytes:
        """What is on the screen of whatever resumes a golden machine, as PNG; may be empty."""

    @abstractmethod
    async def sweep_goldens(self) -> None:
        """Remove golden machines that nothing can use and nothing stands on any more."""
