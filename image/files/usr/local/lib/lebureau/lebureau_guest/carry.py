"""Carries over from a desktop's former disk what is the desktop's own, when its image is upgraded.

Until that is done the hypervisor adds the former disk to the machine, with a serial number that
says what it is (virtio 1.2, 5.2.6.3: 20 bytes at most). How it went is told in a file, which the
control plane reads over the guest agent.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lebureau_guest import identity
from lebureau_guest.grow import grow
from lebureau_guest.machine import USER, GuestError, Machine

SERIAL = "lebureau-old"
ROOT_PARTITION = 3
FORMER = "/run/lebureau-old"
HOME = f"/home/{USER}"
HOST_KEYS = "/etc/ssh"
TOLD = "/var/lib/lebureau/carried"
DONE = "ok"


def carry(machine: Machine) -> None:
    """Take home folder, host keys and machine id from the former disk, if there is one.

    Begins anew where it was interrupted. Afterwards `TOLD` says `DONE`, or why it failed.
    """
    disk = _former_disk(machine)
    if disk is None:
        return
    try:
        grow(machine)
        with _mounted(machine, f"/dev/{disk}{ROOT_PARTITION}") as former:
            _take_identity(machine, former)
            _take_home(machine, former)
        os.sync()
        outcome = DONE
    except (GuestError, OSError) as error:
        outcome = " ".join(str(error).split())
    machine.write(TOLD, f"{outcome}\n")


def _former_disk(machine: Machine) -> str | None:
    """The kernel's name of the former disk; udev need not have seen it yet."""
    for serial in machine.path("/sys/block").glob("vd*/serial"):
        if serial.read_text().strip() == SERIAL:
            return serial.parent.name
    return None


@contextmanager
def _mounted(machine: Machine, device: str) -> Iterator[Path]:
    """The file system of the former disk; its journal is replayed if it was not shut down."""
    place = machine.path(FORMER)
    place.mkdir(parents=True, exist_ok=True)
    machine.run(["mount", "-t", "ext4", "-o", "ro", device, str(place)])
    try:
        yield place
    finally:
        machine.run(["umount", str(place)])


def _take_identity(machine: Machine, former: Path) -> None:
    keys = sorted((former / HOST_KEYS.lstrip("/")).glob("ssh_host_*"))
    if keys:
        machine.run(["cp", "--archive", *map(str, keys), str(machine.path(HOST_KEYS))])
    if (former_id := former / identity.MACHINE_ID.lstrip("/")).is_file():
        identity.set_machine_id(machine, former_id.read_text().strip())


def _take_home(machine: Machine, former: Path) -> None:
    source, home = former / HOME.lstrip("/"), machine.path(HOME)
    if not source.is_dir() or source.resolve() != source:
        raise GuestError(f"The former disk has no folder {HOME}.")
    shutil.rmtree(home, ignore_errors=True)
    try:
        machine.run(["cp", "--archive", "--no-target-directory", str(source), str(home)])
    except GuestError:
        # A full disk would have no room for the words that tell so.
        shutil.rmtree(home, ignore_errors=True)
        raise
