"""Ending the programs that tests start."""

import asyncio


async def stopped(process: asyncio.subprocess.Process, grace: float) -> None:
    """End a program politely, and after `grace` seconds by force."""
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace)
    except TimeoutError:
        process.kill()
        await process.wait()
