"""Ending the programs that tests start."""

import asyncio
import contextlib
import os
import signal


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
