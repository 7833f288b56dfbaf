"""Golden machines on disk: the memory, the devices and the disk that new machines begin from.

Each is a folder of files that nobody writes to. Its record comes first when one is taken out of
use and last when one is made, so a folder without a record is no golden machine; its disk stays as
long as another disk stands on it.
"""

import asyncio
import hashlib
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Protocol
from weakref import WeakValueDictionary

from lebureau_app.providers.base import Golden
from lebureau_app.providers.qemu import hibernation, processes, readahead
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.beginning import Beginning, KeptMemory, NotResumed
from lebureau_app.providers.qemu.chain import foundations
from lebureau_app.providers.qemu.command import GUEST_PORTS, compose
from lebureau_app.providers.qemu.files import extents, occupied, persist, read_record, write_record
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.machine import Boot, Identity, MachineFolder
from lebureau_app.settings import Settings

_BLOCK = 256 << 10
_ZEROS = bytes(_BLOCK)
_ANYWHERE = Path("/home/golden")
_FILES = ("disk.qcow2", "memory")
_PICTURE = "picture.png"

log = logging.getLogger(__name__)


class Caps(Protocol):
    """How large a machine is. Sizes in bytes."""

    @property
    def vcpus(self) -> int:
        """Number of virtual CPUs."""
        ...

    @property
    def memory(self) -> int:
        """The guest's memory."""
        ...

    @property
    def disk(self) -> int:
        """What the guest sees of its disk."""
        ...


def fingerprint(caps: Caps, image: Image, accelerator: Accelerator) -> str:
    """What must be the same for a golden machine's memory to be resumed.

    Args:
        caps: How large the machine is.
        image: What the golden machine was booted from.
        accelerator: How guests run here.
    """
    parts = [
        *(image.id, str(caps.disk), accelerator.name, accelerator.release),
        *(_processor() if accelerator.name == "kvm" else ()),
        *_typical_command(caps, image, accelerator),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class _Record:
    """What is known of a golden machine. Sizes in bytes.

    Attributes:
        machine: UUID of the machine that became it.
        release: Version of the QEMU that ran it.
        pages: Where in the memory's file the memory begins.
        devices: Where in it the state of the devices begins.
        checksums: File name to the SHA-256 of what is in it.
    """

    key: str
    image: str
    vcpus: int
    memory: int
    disk: int
    machine: str
    release: str
    pages: int
    devices: int
    checksums: dict[str, str]


class GoldenFolder:
    """A golden machine's files.

    Args:
        path: The folder; its name is what machines remember.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def disk(self) -> Path:
        """What the overlays of its clones stand on."""
        return self.path / "disk.qcow2"

    def memory(self) -> KeptMemory:
        """What its clones resume.

        Raises:
            NotResumed: It is out of use.
        """
        if (record := self.record()) is None:
            raise NotResumed("the golden machine is gone")
        return KeptMemory(self.path / "memory", record.pages, record.devices)

    def record(self) -> _Record | None:
        """What it is; None for what is left of one, or not finished."""
        try:
            return _Record(**read_record(self.path / "golden.json"))
        except (OSError, ValueError, TypeError):
            return None

    def described(self) -> Golden | None:
        """It, for whoever uses the provider."""
        record = self.record()
        return self._described(record) if record else None

    def picture(self) -> bytes:
        """What was on its screen, as PNG; empty where there is none that can be read."""
        try:
            return (self.path / _PICTURE).read_bytes()
        except OSError:
            return b""

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when somebody writes to a file."""
        told = [(self.path / name).stat() for name in _FILES]
        return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in told)

    def damaged_file(self) -> str | None:
        """The name of a file that is not what it was; None if all are."""
        record = self.record()
        kept = record.checksums if record else {}
        return next((name for name in _FILES if kept.get(name) != _digest(self.path / name)), None)

    def retire(self) -> None:
        """Take it out of use. Machines that run on its memory keep it until they end."""
        for name in ("golden.json", "memory", _PICTURE, readahead.RECORD):
            (self.path / name).unlink(missing_ok=True)

    def appear(self, draft: Path, record: _Record) -> Golden:
        """Let a draft that has all the files become this golden machine, at once."""
        write_record(draft / "golden.json", asdict(record))
        draft.rename(self.path)
        return self._described(record)

    def _described(self, record: _Record) -> Golden:
        size = sum(occupied(self.path / name) for name in _FILES)
        return Golden(record.key, record.image, record.vcpus, record.memory, record.disk, size)


class GoldenShelf:
    """The golden machines of this host.

    Args:
        settings: Where they are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._place = settings.goldens_dir.absolute()
        self._settings = settings
        self._proved: dict[str, tuple[tuple[int, int, int], ...]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def place(self) -> Path:
        """The folder that theirs are in."""
        return self._place

    def folder(self, name: str) -> GoldenFolder:
        """A golden machine by the name that machines remember."""
        return GoldenFolder(self._place / name)

    def folders(self) -> list[GoldenFolder]:
        """Every golden machine, and what is left of others."""
        return [
            GoldenFolder(entry)
            for entry in sorted(self._place.iterdir())
            if entry.is_dir() and not entry.name.startswith(".")
        ]

    def find(self, key: str) -> GoldenFolder | None:
        """The golden machine with this fingerprint, checked or not."""
        matching = (folder for folder in self.folders() if _has_key(folder, key))
        return next(matching, None)

    async def proved(self, folder: GoldenFolder) -> bool:
        """Whether its files are what they were when it was made; if not, it is taken out of use.

        Read once, and again only when a file looks as if somebody had written to it.
        """
        name = folder.path.name
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                stamp = folder.stamp()
                if self._proved.get(name) == stamp:
                    return True
                damaged = await asyncio.to_thread(folder.damaged_file)
            except OSError as error:
                damaged = str(error)
            if damaged is None:
                self._proved[name] = stamp
                return True
            log.error("Golden machine %s is damaged (%s) and will be made anew", name, damaged)
            folder.retire()
            return False

    def doubt(self, folder: GoldenFolder) -> None:
        """Read it again before its next use: something did not go as it should."""
        self._proved.pop(folder.path.name, None)

    def learn(self, pid: int) -> None:
        """Take note of what a machine that can be used has needed of a golden one's memory.

        Args:
            pid: The machine's process; it need not be a clone's, and may have ended.
        """
        with suppress(OSError):
            for memory in processes.kept_memories(pid):
                if memory.parent.parent == self._place.resolve():
                    readahead.learn(memory, pid)

    def read_ahead(self, memory: KeptMemory) -> None:
        """Begin to read what a machine will need of its memory, if that is known of it, and go on."""
        Thread(target=readahead.read_ahead, args=(memory.file,), daemon=True).start()

    def keep(self, machine: MachineFolder, identity: Identity, key: str, picture: bytes) -> Golden:
        """Let what a machine has left become a golden machine; the machine is as it was.

        Args:
            machine: The machine, hibernated.
            identity: Who it is.
            key: Its fingerprint.
            picture: What is on its screen, as PNG, or empty.

        Raises:
            OSError, ValueError, KeyError: The host could not read or write it; nothing has changed.
        """
        provenance = hibernation.provenance(machine)
        folder = self.folder(_name(key, identity))
        draft = self._place / f".{folder.path.name}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for name, file in zip(_FILES, (machine.disk, machine.hibernation / "memory"), strict=True):
            file.chmod(0o400)
            os.link(file, draft / name)
        if picture:
            (draft / _PICTURE).write_bytes(picture)
            persist(draft / _PICTURE)
        record = _Record(
            key=key,
            image=identity.image,
            vcpus=identity.vcpus,
            memory=identity.memory,
            disk=identity.disk,
            machine=identity.uuid,
            release=provenance.qemu,
            pages=provenance.pages,
            devices=provenance.devices,
            checksums={name: _digest(draft / name) for name in _FILES},
        )
        golden = folder.appear(draft, record)
        self._proved[folder.path.name] = folder.stamp()
        return golden

    def kept(self, identity: Identity) -> Golden | None:
        """The golden machine that this machine has become, if it has."""
        for folder in self.folders():
            record = folder.record()
            if record and record.machine == identity.uuid:
                return folder.described()
        return None

    def sweep(self, usable: list[GoldenFolder]) -> None:
        """Remove every golden machine but those that can be used.

        The disk of one stays as long as the disk of a machine or of a snapshot stands on it.
        """
        wanted = {folder.path for folder in usable}
        others = [folder for folder in self.folders() if folder.path not in wanted]
        for folder in others:
            folder.retire()
        needed = foundations(self._settings) if others else set()
        for folder in others:
            if folder.disk.resolve() not in needed:
                shutil.rmtree(folder.path, ignore_errors=True)

    def sweep_drafts(self) -> None:
        """Remove what an interrupted `keep` has left."""
        for draft in self._place.glob(".*.new"):
            shutil.rmtree(draft, ignore_errors=True)


def _name(key: str, identity: Identity) -> str:
    """A name of its own, since what is left of another one with this key may still be used."""
    return f"{key}-{identity.uuid[:8]}"


def _has_key(folder: GoldenFolder, key: str) -> bool:
    record = folder.record()
    return record is not None and record.key == key


def _typical_command(caps: Caps, image: Image, accelerator: Accelerator) -> list[str]:
    """QEMU's command line without what may differ from machine to machine."""
    machine = MachineFolder(Settings(home=_ANYWHERE), "golden")
    identity = Identity(
        desktop_id=machine.desktop_id,
        uuid="",
        name="",
        image=image.id,
        vcpus=caps.vcpus,
        memory=caps.memory,
        disk=caps.disk,
        authorized_key="",
        machine_type=accelerator.machine_type,
    )
    return compose(
        machine,
        identity,
        Image(
            image.id,
            _ANYWHERE,
            kernel=image.kernel and _ANYWHERE,
            initrd=image.initrd and _ANYWHERE,
            cmdline=image.cmdline,
        ),
        Boot("", dict.fromkeys(GUEST_PORTS, 1), host_boot=""),
        accelerator,
        Beginning(),
        binary="qemu",
        socat="socat",
        monitor_fd=0,
    )


def _processor() -> tuple[str, ...]:
    """What the host's CPU is and can (proc_cpuinfo(5)): a guest of KVM has seen it."""
    told = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    return (platform.machine(), *(line for line in told if line.startswith(("model", "flags"))))


def _digest(file: Path) -> str:
    """The SHA-256 of a file's size and of its blocks that are not all zeros, with their places."""
    with file.open("rb", buffering=0) as handle:
        size = os.fstat(handle.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        for place in _data_blocks(handle.fileno(), size):
            block = os.pread(handle.fileno(), _BLOCK, place)
            if block != _ZEROS[: len(block)]:
                digest.update(place.to_bytes(8, "big"))
                digest.update(block)
    return digest.hexdigest()


def _data_blocks(handle: int, size: int) -> Iterator[int]:
    """Where the blocks begin that are not holes, each once."""
    done = 0
    for data, hole in extents(handle, 0, size):
        yield from range(max(done, data - data % _BLOCK), hole, _BLOCK)
        done = max(done, -(-hole // _BLOCK) * _BLOCK)
