"""The provider contract: where desktops run.

A provider knows machines and nothing else: it never touches the database. Every verb is async,
idempotent, returns as soon as it can, and keeps the identity of a machine in the machine's own
metadata, so that it can be proved before anything is done to it. Unknown means: do not destroy.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Power(StrEnum):
    """What a machine is doing, as far as the provider can prove."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    UNKNOWN = "unknown"


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
    """

    desktop_id: str
    name: str
    image: str
    vcpus: int
    memory: int
    disk: int
    authorized_key: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the provider has it.

    Attributes:
        desktop_id: Our id, read from the machine's own metadata.
        ref: The provider's identity for this machine (qemu: its UUID; proxmox: `node/vmid/uuid`).
        power: What it is doing.
        reason: For `stopped` and `failed`: why, for a person (`the guest shut down`, …).
        boot: Changes with each boot of the machine by the provider; empty when it is off.
    """

    desktop_id: str
    ref: str
    power: Power
    reason: str = ""
    boot: str = ""


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
    async def start(self, desktop_id: str, ref: str) -> None:
        """Switch the machine on. A running machine is left alone."""

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
    async def log_tail(self, desktop_id: str, ref: str, lines: int = 50) -> str:
        """The end of the machine's own log (console, hypervisor), for a person."""


class Egress(ABC):
    """Ability: the guest's one way out ends at a Unix socket on this machine."""

    @abstractmethod
    def egress_socket(self, desktop_id: str) -> Path:
        """Where the egress proxy of this desktop has to listen.

        The folder is there, readable by nobody else, from `create` until `destroy`.
        """
