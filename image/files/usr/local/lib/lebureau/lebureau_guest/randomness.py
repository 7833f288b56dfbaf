"""No shared randomness: what a machine that goes on from another one's memory must do anew.

The kernel reseeds itself when the hypervisor says that this is another machine (vmgenid), and
gets our seed on top. Programs that were already running have generators of their own:

* OpenClaw's gateway and its Node processes: reseeded here, over the socket that each of them
  listens on (``../reseed``). One that does not answer is ended; systemd starts the gateway anew.
* The process that waits for `apply` draws from the kernel.
* sshd: each connection is a new process; the listener itself starts anew for its new host key.
* dnsmasq, the D-Bus daemons, Xtigervnc, XFCE, ttyd, tmux and the door make nothing with random
  numbers that leaves the machine or keeps anybody out: identifiers of local sockets, temporary
  names, hash seeds. The session bus keeps the address id that it was started with.
* A browser or an editor is not open in a golden machine; in a fork the open programs of the
  person go on with the state that they have.

The kernel's boot id stays that of the machine whose memory this is: it names a boot, not a machine.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path

from lebureau_guest.machine import Machine

SOCKETS = "/run/lebureau/reseed"
SEED_BYTES = 64
DONE = b"reseeded\n"
PATIENCE_S = 10
_UCRED = struct.Struct("iII")


def stir(machine: Machine, seed: bytes) -> None:
    """Mix a seed into the kernel's pool and let every listening process reseed itself from it.

    Returns only when all of them have: what they draw from now on is this machine's own.
    """
    machine.path("/dev/urandom").write_bytes(seed)
    directory = machine.path(SOCKETS)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if not reseed(path):
            path.unlink(missing_ok=True)


def reseed(path: Path) -> bool:
    """Reseed the process that listens on a socket, or end it.

    Returns:
        Whether it lives.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(str(path))
        except OSError:
            return False
        with suppress(OSError):
            connection.sendall(os.urandom(SEED_BYTES))
            if connection.recv(len(DONE), socket.MSG_WAITALL) == DONE:
                return True
        with suppress(ProcessLookupError):
            os.kill(_listener(connection), signal.SIGKILL)
        return False


def _listener(connection: socket.socket) -> int:
    """The process at the other end (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return _UCRED.unpack(credentials)[0]
