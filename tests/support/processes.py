"""The programs that tests start: which come first, and how they end."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

_FIRST = "-5"
"""How nice the session of a program is that everybody will wait for."""


def put_first(pid: int) -> None:
    """Let a program have the CPU before the tests, where that is allowed (sched(7), autogroup).

    Args:
        pid: It leads a session of its own.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(_FIRST)


async def stopped(process: asyncio.subprocess.Process, grace: float) -> None:
    """End a program politely, and after `grace` seconds its whole session by force.

    Args:
        process: Started with `start_new_session`.
        grace: Seconds.
    """
    if process.returncode is None:
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
