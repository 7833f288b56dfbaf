"""Makes a running gateway, which has the token of the machine it was copied from, this machine's.

A restart would take it minutes where the CPU is emulated. OpenClaw reads its key file again when
its configuration changes, which it notices by itself, and when it is told to (`secrets.reload`).
To be asked costs it seconds that it needs for this, so it is left alone at first.
"""

from __future__ import annotations

import os
import sys
import time

from lebureau_guest.gateway import PORT, Gateway, GatewayError

NOTICES_WITHIN_S = 60
ASK_EVERY_S = 5
PATIENCE_S = 300


def in_background(before: str, after: str, *, reloads: bool) -> None:
    """Take over in a process of its own, which whoever called this need not wait for.

    Args:
        before: The gateway's token so far.
        after: Its token from now on, which is in its key file already.
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
        take_over(before, after, reloads=reloads)
    finally:
        os._exit(0)


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
    began = time.monotonic()
    if reloads:
        time.sleep(ASK_EVERY_S)
    while (waited := time.monotonic() - began) < PATIENCE_S:
        if not reloads or waited > NOTICES_WITHIN_S:
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
