"""Makes a running gateway, which has the token of the machine it was copied from, this machine's.

A restart would take it minutes where the CPU is emulated. OpenClaw reads its key file again when
its configuration changes, which it notices by itself, and when it is told to (`secrets.reload`).
To be asked costs it seconds that it needs for this, so it is left alone at first. All of that keeps
a CPU busy that somebody may wait for, and so do the timers of a gateway whose clock has leapt: it is
held until the control plane has signed in.
"""

from __future__ import annotations

import os
import sys
import time

from lebureau_guest.gateway import PORT, Gateway, GatewayError
from lebureau_guest.identity import ssh_sessions
from lebureau_guest.machine import USER_ID, Machine
from lebureau_guest.openclaw import UNIT

MAKES_WAY_FOR_S = 30
LOOKS_EVERY_S = 0.2
NOTICES_WITHIN_S = 60
ASK_EVERY_S = 5
PATIENCE_S = 300


def in_background(before: str, after: str, machine: Machine, *, reloads: bool) -> None:
    """Take over in a process of its own, which whoever called this need not wait for.

    Args:
        before: The gateway's token so far.
        after: Its token from now on, which is in its key file already.
        machine: The machine.
        reloads: Whether its configuration has changed as well, so that it reloads by itself.
    """
    sys.stdout.flush()
    if os.fork():
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        try:
            make_way(machine)
        finally:
            machine.release(UNIT)
        take_over(before, after, reloads=reloads)
    finally:
        os._exit(0)


def make_way(machine: Machine) -> None:
    """Wait until the control plane has signed in, or is not going to."""
    deadline = time.monotonic() + MAKES_WAY_FOR_S
    while not somebody_is_in(machine) and time.monotonic() < deadline:
        time.sleep(LOOKS_EVERY_S)


def somebody_is_in(machine: Machine) -> bool:
    """Whether somebody has signed in over SSH (proc_pid_loginuid(5), which pam_loginuid sets)."""
    logins = (machine.read(f"/proc/{session}/loginuid") for session in ssh_sessions(machine))
    return str(USER_ID) in logins


def take_over(before: str, after: str, *, reloads: bool, port: int = PORT) -> bool:
    """Have the gateway accept its new token.

    Args:
        before: The gateway's token so far.
        after: Its token from now on, which is in its key file already.
        reloads: Whether its configuration has changed as well, so that it reloads by itself.
        port: Where it listens on the loopback.

    Returns:
        Whether it does.
    """
    if reloads:
        time.sleep(NOTICES_WITHIN_S)
        if accepts(after, port):
            return True
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        tell(before, port)
        if accepts(after, port):
            return True
        time.sleep(ASK_EVERY_S)
    return False


def accepts(token: str, port: int) -> bool:
    """Whether the gateway lets in who knows this token."""
    try:
        with Gateway(token, port):
            return True
    except GatewayError:
        return False


def tell(token: str, port: int) -> None:
    """Tell a gateway with this token to read its key file again, if there is one."""
    try:
        with Gateway(token, port) as gateway:
            gateway.call("secrets.reload")
    except GatewayError:
        pass
