"""Makes a booted machine warm, so that those who resume its memory find everything done once.

What a desktop does for the first time is slow: OpenClaw starts, loads its plugins and compiles,
QEMU translates code that it has not met. A golden machine does all of it once, with throw-away
secrets and a model of its own, and forgets that it did.
"""

from collections.abc import AsyncIterator

import asyncssh

from lebureau_app.providers.base import Endpoint


async def warm(
    connection: asyncssh.SSHClientConnection,
    *,
    screen: Endpoint,
    terminal: Endpoint,
    ca: str = "",
) -> AsyncIterator[str]:
    """Use a golden machine that has just booted until it is warm, then remove every trace of it.

    The caller closes the connection afterwards, waits two seconds for the guest to notice, and
    keeps the machine (`Goldens.keep_golden`).

    Args:
        connection: From `ssh.connect`, to a machine that nobody else uses.
        screen: Where the guest's port 6080 is reached.
        terminal: Where the guest's port 7681 is reached.
        ca: Certificates that every desktop here trusts beyond the usual, PEM.

    Yields:
        What is being done now, a short sentence for a page.

    Raises:
        GuestError: Something in the guest did not work; the machine is not fit to be kept.
    """
    raise NotImplementedError
    yield ""
