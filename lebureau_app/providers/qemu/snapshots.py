"""Snapshots on disk: a disk that nobody writes to any more, perhaps a memory, and a record.

The record comes last when a snapshot is made. A snapshot that is dropped is marked as such, and its
files stay for as long as a machine begins from its memory, or a disk stands on its disk.
"""

import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import StoredSnapshot
from lebureau_app.providers.qemu.files import occupied, persist, read_record, write_record
from lebureau_app.providers.qemu.machine import Identity
from lebureau_app.providers.qemu.memory import Provenance
from lebureau_app.settings import Settings

_SNAPSHOT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """What is known of a snapshot.

    Attributes:
        machine: Whose it is, with the caps of then.
        memory: Where its memory comes from; None if the machine was off.
    """

    machine: Identity
    memory: Provenance | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> "SnapshotRecord":
        """What a record says.

        Raises:
            KeyError, TypeError: It says something else.
        """
        return cls(
            Identity(**record["machine"]), Provenance.of(record) if "qemu" in record else None
        )

    def record(self) -> dict[str, Any]:
        """It, to be written down."""
        return {**(self.memory.record() if self.memory else {}), "machine": asdict(self.machine)}


class SnapshotFolder:
    """A snapshot's files.

    Args:
        settings: Where snapshots are kept.
        snapshot_id: Its id.

    Raises:
        ProviderError: It cannot be an id of ours.
    """

    def __init__(self, settings: Settings, snapshot_id: str) -> None:
        if not _SNAPSHOT_ID.fullmatch(snapshot_id):
            raise no_such_snapshot(snapshot_id)
        self.id = snapshot_id
        self.path = settings.snapshots_dir.absolute() / snapshot_id

    @property
    def disk(self) -> Path:
        """The disk as it was."""
        return self.path / "disk.qcow2"

    @property
    def memory(self) -> Path:
        """The memory as it was, if the machine ran."""
        return self.path / "memory"

    @property
    def is_dropped(self) -> bool:
        """Whether nobody wants it any more, but for what stands on it."""
        return (self.path / "dropped").exists()

    def record(self) -> SnapshotRecord | None:
        """What is known of it, dropped or not; None if it is not there or not finished."""
        try:
            return SnapshotRecord.of(read_record(self.path / "snapshot.json"))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def required(self, desktop_id: str | None = None) -> SnapshotRecord:
        """What is known of it.

        Args:
            desktop_id: Whose it must be, if that matters.

        Raises:
            ProviderError: It is not there, or another's.
        """
        record = None if self.is_dropped else self.record()
        if record is None or desktop_id not in (None, record.machine.desktop_id):
            raise no_such_snapshot(self.id)
        return record

    def stored(self) -> StoredSnapshot:
        """It, for whoever uses the provider.

        Raises:
            ProviderError: It is not there.
        """
        record, size = self.required(), occupied(self.disk) + occupied(self.memory)
        return StoredSnapshot(self.id, record.machine.desktop_id, size, record.memory is not None)

    def complete(self, record: SnapshotRecord) -> None:
        """Let it be one, now that its files are there for good."""
        kept = [file for file in (self.disk, self.memory) if file.exists()]
        for file in kept:
            file.chmod(0o400)
        persist(*kept)
        write_record(self.path / "snapshot.json", record.record())
        persist(self.path, self.path.parent)

    def drop(self) -> None:
        """Take it out of use."""
        if self.path.exists():
            (self.path / "dropped").touch()
            persist(self.path)

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self.path, ignore_errors=True)


def snapshot_folders(settings: Settings) -> list[SnapshotFolder]:
    """Every snapshot of this host, dropped and unfinished ones among them."""
    if not settings.snapshots_dir.is_dir():
        return []
    names = sorted(entry.name for entry in settings.snapshots_dir.iterdir() if entry.is_dir())
    return [SnapshotFolder(settings, name) for name in names if _SNAPSHOT_ID.fullmatch(name)]


def no_such_snapshot(snapshot_id: str) -> ProviderError:
    """The error for a snapshot that is not there."""
    return ProviderError(
        f"There is no snapshot {snapshot_id} of this desktop on this host.",
        hint="It may have been deleted. Look at the list of snapshots.",
    )
