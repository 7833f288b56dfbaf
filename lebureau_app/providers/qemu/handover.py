"""A machine's disk becomes a snapshot's, and the machine goes on from an overlay on it.

While this is under way a note lies in the machine's folder, from which whoever comes next, after a
crash too, brings it to an end: forwards where QEMU has gone over to the overlay, or may have, and
backwards where it has not.

QEMU opens a disk again, by the name that it was given, when it turns from writing to reading. So no
disk is renamed while QEMU has it open: the overlay gets the name of the machine's disk beside its
own (link(2)), and keeps its own for as long as QEMU may look for it.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lebureau_app.providers.qemu import ramfile
from lebureau_app.providers.qemu.chain import read_header
from lebureau_app.providers.qemu.disk import make_overlay_ahead
from lebureau_app.providers.qemu.files import host_boot, persist, read_record, write_record
from lebureau_app.providers.qemu.machine import Identity, MachineFolder
from lebureau_app.providers.qemu.memory import Provenance
from lebureau_app.providers.qemu.snapshots import SnapshotFolder, SnapshotRecord
from lebureau_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Handover:
    """One machine's disk on its way into a snapshot.

    Attributes:
        machine: The machine, whose identity has been proved.
        snapshot: What is being made.
        live: Whether QEMU runs, and has to go over to the overlay by itself.
        host_boot: In which boot of the host it began.
    """

    machine: MachineFolder
    snapshot: SnapshotFolder
    live: bool
    host_boot: str

    @classmethod
    def under_way(cls, settings: Settings, machine: MachineFolder) -> Self | None:
        """What was begun on a machine and not brought to an end."""
        try:
            note = read_record(_note(machine))
        except FileNotFoundError:
            return None
        folder = SnapshotFolder(settings, note["snapshot"])
        return cls(machine, folder, note["live"], note["hostBoot"])

    @property
    def node(self) -> str:
        """What QEMU is to call the overlay; its names are short."""
        return f"n{hashlib.sha256(self.snapshot.id.encode()).hexdigest()[:24]}"

    @property
    def overlay(self) -> Path:
        """What the machine writes to from now on."""
        return self.machine.path / f"disk.{self.node}.qcow2"

    async def begin(self, memory: Path | None = None, provenance: Provenance | None = None) -> None:
        """Make the overlay and leave the note. Nothing has changed for the machine yet.

        Args:
            memory: A memory of the machine, which is off, that nobody writes to any more.
            provenance: Where that comes from.
        """
        self.undo()
        try:
            self.snapshot.path.mkdir(mode=0o700)
            if memory and provenance:
                os.link(memory, self.snapshot.memory)
                self.remember(provenance)
                persist(self._provenance)
            size = read_header(self.machine.disk).size
            await make_overlay_ahead(self.overlay, self.snapshot.disk, size)
            persist(self.overlay, self.snapshot.path, self.snapshot.path.parent)
            note = {"snapshot": self.snapshot.id, "live": self.live, "hostBoot": self.host_boot}
            write_record(_note(self.machine), note)
        except BaseException:
            self.undo()
            raise

    def remember(self, provenance: Provenance) -> None:
        """Take note that the memory is whole, and the disk still what it was at that moment.

        A halted guest waits for this, so this does not wait for the host's disk.
        """
        draft = self._provenance.with_suffix(".new")
        draft.write_text(json.dumps(provenance.record()))
        draft.rename(self._provenance)

    def has_gone_over(self, node: str | None) -> bool:
        """Whether the machine may have written to the overlay.

        Args:
            node: What its QEMU calls the disk it writes to; None where there is no QEMU any more.
        """
        if not self.live:
            return True
        if node is not None:
            return node == self.node
        return self._provenance.exists() or self.host_boot != host_boot()

    def finish(self, identity: Identity) -> None:
        """Let the machine's disk be the snapshot's, and the overlay the machine's."""
        if not self.snapshot.disk.exists():
            os.link(self.machine.disk, self.snapshot.disk)
        if not self.machine.disk.samefile(self.overlay):
            beside = self.machine.path / "disk.link"
            beside.unlink(missing_ok=True)
            os.link(self.overlay, beside)
            beside.rename(self.machine.disk)
        persist(self.machine.path)
        self.snapshot.complete(SnapshotRecord(identity, self._whole_memory()))
        _note(self.machine).unlink()
        forget_names(self.machine, running=self.live)

    def undo(self) -> None:
        """Let it be as if it had never begun; the machine has not gone over to the overlay."""
        self.overlay.unlink(missing_ok=True)
        _note(self.machine).unlink(missing_ok=True)
        if self.snapshot.record() is None:
            self.snapshot.remove()

    @property
    def _provenance(self) -> Path:
        return self.snapshot.path / "memory.json"

    def _whole_memory(self) -> Provenance | None:
        """Where the memory comes from; one that a loss of power may have torn is given up."""
        torn = self.live and self.host_boot != host_boot()
        if self._provenance.exists() and not torn:
            provenance = Provenance.of(read_record(self._provenance))
            if provenance.pages:
                ramfile.blank_stale_pages(self.snapshot.memory)
            return provenance
        self.snapshot.memory.unlink(missing_ok=True)
        return None


def forget_names(machine: MachineFolder, *, running: bool) -> None:
    """Remove the names of disks that no QEMU looks for any more.

    Args:
        machine: Whose; nothing is under way with it.
        running: Whether its QEMU knows the disk that it writes to by such a name.
    """
    for name in machine.path.glob("disk.?*.qcow2"):
        if not (running and name.samefile(machine.disk)):
            name.unlink()


def _note(machine: MachineFolder) -> Path:
    return machine.path / "handover.json"
