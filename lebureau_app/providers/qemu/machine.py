"""One machine's folder: who it is, what it boots from, and how its last boot went."""

import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from lebureau_app.errors import ProviderError, UnknownMachine
from lebureau_app.providers.base import Origin, Power
from lebureau_app.providers.qemu import processes
from lebureau_app.providers.qemu.files import persist, read_record, write_record
from lebureau_app.settings import Settings

LOG_LIMIT = 8 << 20
"""Bytes after which a log is emptied: a guest must not be able to fill the host's disk."""

_DESKTOP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LAST_LINES = 100
_TAIL_BYTES = 64 << 10
_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-?!]*[ -/]*[@-~]|.)|[^\x20-\x7e\t\n\u00a0-\U0010ffff]")


def run_folder(settings: Settings, desktop_id: str) -> Path:
    """The folder of a machine's sockets."""
    return settings.run_dir.absolute() / checked(desktop_id)


def egress_socket(settings: Settings, desktop_id: str) -> Path:
    """Where the guest's way out ends, and its egress proxy listens."""
    return run_folder(settings, desktop_id) / "egress"


def checked(desktop_id: str) -> str:
    """The id, if it may become the name of a folder.

    Raises:
        UnknownMachine: It cannot be an id of ours.
    """
    if not _DESKTOP_ID.fullmatch(desktop_id):
        raise UnknownMachine(f"“{desktop_id}” cannot be the id of a desktop.")
    return desktop_id


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same for a machine's whole life, but for its caps and image. Sizes in bytes.

    Attributes:
        machine_type: QEMU's versioned machine type, kept from creation.
        golden: It is made to be kept as a golden machine.
    """

    desktop_id: str
    uuid: str
    name: str
    image: str
    vcpus: int
    memory: int
    disk: int
    authorized_key: str
    machine_type: str
    golden: bool = False


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot of a machine: written before QEMU starts, ended when it is known to be over.

    Attributes:
        id: Changes with each boot.
        ports: Guest port to the port on the host's loopback.
        host_boot: Tells whether the host has been restarted since.
        asked: Le Bureau has asked the machine to stop.
        outcome: How it ended; None while it has not.
        reason: Why it ended, for a person.
        origin: What it began from.
        note: Why it took the slow road, for a person; empty if it did not.
        settled: The guest has its identity since its memory was resumed, or none was.
    """

    id: str
    ports: dict[int, int]
    host_boot: str
    asked: bool = False
    outcome: Power | None = None
    reason: str = ""
    origin: Origin = Origin.BOOT
    note: str = ""
    settled: bool = True

    def ended(self, outcome: Power, reason: str) -> Self:
        """This boot, over."""
        return replace(self, outcome=outcome, reason=reason)


@dataclass(frozen=True, slots=True)
class Pending:
    """What a machine is to begin from until it is settled: written by whoever made its disk so.

    Attributes:
        origin: `golden`, `fork` or `snapshot`.
        source: Name of the golden machine's folder, or id of the snapshot.
        cold: The memory has been given up: it boots from the disk that belongs to it.
    """

    origin: Origin
    source: str
    cold: bool = False


class MachineFolder:
    """A machine on disk.

    Args:
        settings: Where machines and sockets live.
        desktop_id: The machine's desktop.
    """

    def __init__(self, settings: Settings, desktop_id: str) -> None:
        self.desktop_id = checked(desktop_id)
        self.path = settings.desktops_dir.absolute() / desktop_id
        self.run = run_folder(settings, desktop_id)
        self.egress = egress_socket(settings, desktop_id)

    @property
    def disk(self) -> Path:
        """The overlay."""
        return self.path / "disk.qcow2"

    @property
    def former_disk(self) -> Path:
        """The disk of before, while what is the machine's own is carried over to a new image."""
        return self.path / "former.qcow2"

    @property
    def hibernation(self) -> Path:
        """The folder of the memory that a hibernated machine wakes with."""
        return self.path / "hibernation"

    @property
    def used_hibernation(self) -> Path:
        """Where that folder goes when the machine has woken: a memory lives once.

        QEMU reads from it what the guest has not changed, for as long as the machine runs.
        """
        return self.path / "hibernation.used"

    @property
    def log(self) -> Path:
        """What QEMU said."""
        return self.path / "machine.log"

    @property
    def serial_log(self) -> Path:
        """What the guest said on its serial console."""
        return self.path / "serial.log"

    @property
    def monitor(self) -> Path:
        """Socket of QEMU's monitor."""
        return self.run / "qmp"

    @property
    def agent(self) -> Path:
        """Socket of the guest agent's channel."""
        return self.run / "agent"

    @property
    def draft(self) -> Path:
        """Where the folder is made before it appears, whole, in its place."""
        return self.path.with_name(f".{self.desktop_id}.new")

    @property
    def remains(self) -> Path:
        """Where the folder goes before it is removed, so that no half a machine is ever seen."""
        return self.path.with_name(f".{self.desktop_id}.gone")

    def exists(self) -> bool:
        """Whether there is something under this id."""
        return self.path.exists()

    def identity(self) -> Identity:
        """Who this machine is.

        Raises:
            UnknownMachine: There is no machine here, or it does not say that it is ours.
        """
        try:
            identity = Identity(**read_record(self.path / "spec.json"))
        except (OSError, ValueError, TypeError) as error:
            raise UnknownMachine from error
        if identity.desktop_id != self.desktop_id:
            raise UnknownMachine(
                f"The folder of {self.desktop_id} holds the machine of another desktop.",
                hint="Look at it by hand: Le Bureau does not touch what it cannot prove to be its.",
            )
        return identity

    def proved(self, ref: str) -> Identity:
        """Who this machine is, if it is the one that the caller means.

        Raises:
            UnknownMachine: It is not there, or it is another one.
        """
        identity = self.identity()
        if identity.uuid != ref:
            raise UnknownMachine(
                f"The machine of {self.desktop_id} is not the one that Le Bureau made for it.",
                hint="Look at it by hand: Le Bureau does not touch what it cannot prove to be its.",
            )
        return identity

    def write_identity(self, identity: Identity, folder: Path | None = None) -> None:
        """Keep who this machine is.

        Args:
            identity: The whole of it.
            folder: Where; the machine's place unless told otherwise.
        """
        write_record((folder or self.path) / "spec.json", asdict(identity))

    def boot(self) -> Boot | None:
        """The last boot; None if there was none, and one without ports if it cannot be read."""
        try:
            kept = read_record(self.path / "boot.json")
            outcome = Power(kept["outcome"]) if kept["outcome"] else None
            ports = {int(guest): int(host) for guest, host in kept["ports"].items()}
            origin = Origin(kept.get("origin", Origin.BOOT))
            return Boot(**{**kept, "ports": ports, "outcome": outcome, "origin": origin})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Boot("", {}, host_boot="")

    def write_boot(self, boot: Boot) -> None:
        """Keep how the boot stands."""
        write_record(self.path / "boot.json", asdict(boot))

    def is_hibernated(self) -> bool:
        """Whether a memory waits here to be woken."""
        folder = self.hibernation
        return (folder / "memory").is_file() and (folder / "memory.json").is_file()

    def use_hibernation(self) -> None:
        """Take the memory out of use, for good: it has woken, or is given up."""
        self.forget_used_hibernation()
        if self.hibernation.exists():
            self.hibernation.rename(self.used_hibernation)
            persist(self.path)

    def forget_used_hibernation(self) -> None:
        """Remove the memory that the machine woke with; no QEMU needs it."""
        shutil.rmtree(self.used_hibernation, ignore_errors=True)

    def forget_former_disk(self) -> None:
        """Remove a former disk that no image upgrade needs any more."""
        self.former_disk.unlink(missing_ok=True)

    def waits(self) -> bool:
        """Whether a memory, or a birth, waits for the next start."""
        return self.is_hibernated() or (self.path / "pending.json").exists()

    def pending(self) -> Pending | None:
        """What the machine is to begin from, as long as it is not settled.

        Raises:
            ProviderError: It cannot be read.
        """
        try:
            kept = read_record(self.path / "pending.json")
            return Pending(Origin(kept["origin"]), kept["from"], kept.get("cold", False))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderError(
                f"What the machine of {self.desktop_id} begins from cannot be read: {error}.",
                hint="Look at pending.json in the machine's folder, or destroy the desktop.",
            ) from error

    def write_pending(self, pending: Pending, folder: Path | None = None) -> None:
        """Keep what the machine is to begin from.

        Args:
            pending: The whole of it.
            folder: Where; the machine's place unless told otherwise.
        """
        kept = {"origin": pending.origin, "from": pending.source, "cold": pending.cold}
        write_record((folder or self.path) / "pending.json", kept)

    def drop_pending(self) -> None:
        """From now on the machine's disk is the truth."""
        (self.path / "pending.json").unlink(missing_ok=True)
        persist(self.path)

    def head_log(self, boot: Boot) -> None:
        """Let what QEMU says in this boot begin under a line of its own in its log."""
        with self.log.open("a") as log:
            log.write(f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} boot {boot.id}\n")

    def last_words(self, boot: Boot, lines: int = 3) -> str:
        """The end of what QEMU has said in this boot; empty if it was silent."""
        _, _, said = tail(self.log, _LAST_LINES).rpartition(boot.id)
        return "\n".join(said.strip().splitlines()[-lines:])

    def make_run_folder(self) -> None:
        """Make the folder of the sockets, closed to everybody else.

        Raises:
            ProviderError: A socket's path would be longer than unix(7) allows.
        """
        if len(os.fsencode(self.egress)) > 107:
            raise ProviderError(
                f"The path of Le Bureau's data folder is too long for sockets: {self.run}.",
                hint="Set LEBUREAU_HOME to a shorter path.",
            )
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run.chmod(0o700)

    def make_draft(self) -> None:
        """Make the folder in which the machine is put together."""
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(mode=0o700)

    def remove_sockets(self) -> None:
        """Remove what QEMU listened on; the egress proxy's socket is not ours to remove."""
        self.monitor.unlink(missing_ok=True)
        self.agent.unlink(missing_ok=True)

    def trim_logs(self) -> None:
        """Empty a log that has grown too large; whoever writes to it goes on at its start."""
        for log in (self.log, self.serial_log):
            if log.exists() and log.stat().st_size > LOG_LIMIT:
                os.truncate(log, 0)

    def remove(self) -> None:
        """Remove everything there is of this machine on disk."""
        if self.exists():
            shutil.rmtree(self.remains, ignore_errors=True)
            self.path.rename(self.remains)
        for folder in (self.remains, self.draft, self.run):
            if folder.exists():
                shutil.rmtree(folder)


def machine_folders(settings: Settings) -> list[MachineFolder]:
    """Every folder in the place of our machines whose name can be a desktop's id."""
    if not settings.desktops_dir.is_dir():
        return []
    return [
        MachineFolder(settings, entry.name)
        for entry in sorted(settings.desktops_dir.iterdir())
        if entry.is_dir() and _DESKTOP_ID.fullmatch(entry.name)
    ]


def sweep(settings: Settings) -> None:
    """Remove what an interrupted create or destroy has left."""
    for pattern in (".*.new", ".*.gone"):
        for folder in settings.desktops_dir.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
    running = processes.by_uuid()
    for machine in machine_folders(settings):
        with suppress(UnknownMachine):
            if machine.identity().uuid not in running:
                machine.forget_used_hibernation()


def tail(log: Path, lines: int) -> str:
    """The end of a log, without what only a terminal understands; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(_TERMINAL_CODES.sub("", text).splitlines()[-lines:])
