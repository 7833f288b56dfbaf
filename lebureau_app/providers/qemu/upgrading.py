"""A machine goes over to another golden image, and keeps its former disk until it has taken what
is its own from there.

While this is under way a note lies in the machine's folder. It says which way it goes, so that
whoever comes next, after a crash too, brings the disk and the image's name to where they belong
together: forwards, or back.
"""

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from lebureau_app.providers.qemu.disk import make_overlay
from lebureau_app.providers.qemu.files import persist, read_record, write_record
from lebureau_app.providers.qemu.handover import forget_names
from lebureau_app.providers.qemu.image import load_image
from lebureau_app.providers.qemu.machine import MachineFolder


@dataclass(frozen=True, slots=True)
class Course:
    """Where a machine's image upgrade goes.

    Attributes:
        image: Id of the golden image that it is for.
        former: Id of the one that the machine had.
        back: It was given up: the machine gets its former disk and image back.
    """

    image: str
    former: str
    back: bool = False


class Upgrading:
    """One machine on its way to another image.

    Args:
        machine: The machine, whose identity has been proved.
        course: Where it goes.
    """

    def __init__(self, machine: MachineFolder, course: Course) -> None:
        self._machine = machine
        self.course = course

    @classmethod
    def under_way(cls, machine: MachineFolder) -> Self | None:
        """What was begun on a machine and is neither finished nor taken back."""
        try:
            note = read_record(_note(machine))
        except FileNotFoundError:
            return None
        return cls(machine, Course(note["image"], note["former"], note["back"]))

    @property
    def is_whole(self) -> bool:
        """Whether the machine's disk and image belong together: it can run, and carry over."""
        return not self.course.back and self._machine.identity().image == self.course.image

    async def bring_to_an_end(self, images: Path) -> None:
        """Bring the machine, which is off, to where its disk and its image belong together.

        Args:
            images: Where golden images are kept.

        Raises:
            ProviderError: It cannot be done now.
        """
        if self.course.back:
            await asyncio.to_thread(self.go_back)
        else:
            await self.change_over(images)

    async def change_over(self, images: Path) -> None:
        """Put the machine, which is off, on a fresh disk; the former one is kept beside it.

        Carried out again from the start if it was interrupted.

        Args:
            images: Where golden images are kept.

        Raises:
            ProviderError: The image is not there, or does not fit the disk; nothing has changed.
        """
        machine, identity = self._machine, self._machine.identity()
        fresh = machine.path / "disk.new"
        fresh.unlink(missing_ok=True)
        await make_overlay(fresh, load_image(images, self.course.image).disk, identity.disk)
        self._write_down()
        if not machine.former_disk.exists():
            os.link(machine.disk, machine.former_disk)
        fresh.replace(machine.disk)
        forget_names(machine, running=False)
        persist(machine.path)
        machine.write_identity(replace(identity, image=self.course.image))

    def turn_back(self) -> None:
        """Take note that it is given up; from now on there is no other way than back."""
        self.course = replace(self.course, back=True)
        self._write_down()

    def go_back(self) -> None:
        """Give the machine, which is off, its former disk and image back."""
        machine = self._machine
        machine.write_identity(replace(machine.identity(), image=self.course.former))
        (machine.path / "disk.new").unlink(missing_ok=True)
        if machine.former_disk.exists():
            machine.former_disk.replace(machine.disk)
            machine.former_disk.unlink(missing_ok=True)
        persist(machine.path)
        _note(machine).unlink(missing_ok=True)
        persist(machine.path)

    def finish(self) -> None:
        """Let go of the former disk; from now on there is no way back."""
        _note(self._machine).unlink()
        persist(self._machine.path)
        self._machine.forget_former_disk()

    def _write_down(self) -> None:
        write_record(_note(self._machine), asdict(self.course))


def _note(machine: MachineFolder) -> Path:
    return machine.path / "upgrading.json"
