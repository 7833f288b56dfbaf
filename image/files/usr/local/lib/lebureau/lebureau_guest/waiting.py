"""Waits for ``lebureau-guest apply`` with everything loaded, and carries it out at once.

The golden machine is kept with this process in its memory, so its clones need not start Python.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lebureau_guest import apply, takeover  # noqa: F401 - loaded in advance

SOCKET = Path("/run/lebureau/apply.sock")
"""As in launcher.c."""

Answer = Callable[[str], int]


def wait(answer: Answer, path: Path = SOCKET) -> None:
    """Carry out every request that comes, each in a process of its own, until ended.

    Args:
        answer: Takes a request, and prints the answer to it.
        path: The socket that root alone may use: a request until its end, then the answer.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.umask(0o177)
        listener.bind(str(path))
        os.umask(before)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    _carry_out(answer, connection)


def _carry_out(answer: Answer, connection: socket.socket) -> None:
    """Answer one request, and end this process; what it leaves running holds nobody up."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for stream in (0, 1):
            os.dup2(connection.fileno(), stream)
        answer(sys.stdin.read())
        sys.stdout.flush()
        connection.shutdown(socket.SHUT_RDWR)
    finally:
        os._exit(0)
