"""Grows the root partition and its file system to the size of the disk."""

from __future__ import annotations

import re

from lebureau_guest.machine import GuestError, Machine

_PARTITION = re.compile(r"/dev/(?P<disk>[a-z]+|nvme\d+n\d+)p?(?P<number>\d+)")
SLACK_SECTORS = 2048 * 2


def grow(machine: Machine) -> bool:
    """Let the root file system have the whole disk.

    Returns:
        Whether there was anything to grow.

    Raises:
        GuestError: A tool failed, or the root is on no partition.
    """
    device = machine.run(["findmnt", "--noheadings", "--output", "SOURCE", "/"]).strip()
    found = _PARTITION.fullmatch(device)
    if found is None:
        raise GuestError(f"The root file system is not on a disk's partition but on {device}.")
    disk, number = found["disk"], found["number"]
    name = device.removeprefix("/dev/")
    end = _sectors(machine, f"{disk}/{name}/start") + _sectors(machine, f"{disk}/{name}/size")
    if _sectors(machine, f"{disk}/size") - end <= SLACK_SECTORS:
        return False
    machine.run(["growpart", f"/dev/{disk}", number])
    machine.run(["resize2fs", device])
    return True


def _sectors(machine: Machine, name: str) -> int:
    return int(machine.read(f"/sys/block/{name}"))
