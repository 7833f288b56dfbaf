"""Brings the machine to what the control plane wants; harmless to repeat."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import time
from typing import Any

from lebureau_guest import identity, openclaw, randomness, trust
from lebureau_guest.machine import GuestError, Machine

DOOR_FILE = "/run/lebureau/door.secret"
DOOR_UNIT = "lebureau-door.service"
IMAGE = "/etc/lebureau/image.json"
CLOCK_TOLERANCE_S = 1.0
_SECRET = re.compile(r"[0-9a-f]{32,256}")
_TYPES: dict[str, tuple[type, ...]] = {
    "desktopId": (str,),
    "hostname": (str,),
    "time": (int, float),
    "seed": (str,),
    "fresh": (bool,),
    "authorizedKey": (str,),
    "door": (str,),
    "ca": (str,),
    "agent": (dict, type(None)),
}


def apply(machine: Machine, wanted: dict[str, Any]) -> dict[str, Any]:
    """Apply what is wanted; what is not mentioned stays as it is.

    Args:
        machine: The machine.
        wanted: Fields as in the guest contract (``desktopId``, ``hostname``, ``time``, ``seed``,
            ``fresh``, ``authorizedKey``, ``door``, ``ca``, ``agent``).

    Returns:
        What the control plane learns about the machine.

    Raises:
        GuestError: A field is wrong or something failed.
    """
    _check(wanted)
    machine.release(openclaw.UNIT)
    if "time" in wanted:
        _set_clock(wanted["time"])
    if "seed" in wanted:
        randomness.stir(machine, _bytes(wanted["seed"]))
    if wanted.get("fresh") and wanted.get("agent"):
        # It is taken over later, and until then everything else comes before it.
        machine.hold(openclaw.UNIT)
    try:
        _bring(machine, wanted)
    except BaseException:
        machine.release(openclaw.UNIT)
        raise
    return describe(machine)


def _bring(machine: Machine, wanted: dict[str, Any]) -> None:
    if wanted.get("fresh"):
        identity.become_another(machine)
    if "authorizedKey" in wanted:
        identity.authorize(machine, wanted["authorizedKey"])
    if "hostname" in wanted:
        identity.set_hostname(machine, wanted["hostname"])
    if "desktopId" in wanted:
        machine.write("/etc/lebureau/desktop-id", f"{wanted['desktopId']}\n")
    if "door" in wanted:
        _open_door(machine, wanted["door"])
    if "ca" in wanted:
        trust.trust(machine, wanted["ca"])
    if wanted.get("agent"):
        openclaw.set_up(machine, wanted["agent"])
    elif "agent" in wanted:
        openclaw.shut_off(machine)
    if wanted.get("fresh"):
        # A plug pulled now must not bring back the identity of the machine this is a copy of.
        os.sync()


def describe(machine: Machine) -> dict[str, Any]:
    """Return what tells this machine, this boot and its software from any other."""
    image = json.loads(machine.read(IMAGE) or "{}")
    return {
        "bootId": machine.read("/proc/sys/kernel/random/boot_id").strip(),
        "machineId": machine.read("/etc/machine-id").strip(),
        "hostKey": identity.host_key(machine),
        "openclaw": image.get("versions", {}).get("openclaw"),
        "image": image.get("id"),
    }


def _check(wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name not in _TYPES:
            raise GuestError(f"Unknown field: {name}.")
        if not isinstance(value, _TYPES[name]):
            raise GuestError(f"The field {name} has the wrong type.")


def _bytes(seed: str) -> bytes:
    try:
        return base64.b64decode(seed, validate=True)
    except binascii.Error as error:
        raise GuestError("The field seed must be base64.") from error


def _set_clock(now: float) -> None:
    if abs(time.time() - now) > CLOCK_TOLERANCE_S:
        time.clock_settime(time.CLOCK_REALTIME, now)


def _open_door(machine: Machine, secret: str) -> None:
    if not _SECRET.fullmatch(secret):
        raise GuestError("The field door must be 32 to 256 lower-case hexadecimal digits.")
    machine.write(DOOR_FILE, secret, mode=0o600, private=True)
    if not machine.is_active(DOOR_UNIT):
        machine.run(["systemctl", "start", "--no-block", DOOR_UNIT])
