"""Waiting for an event, but not for ever."""

import asyncio
from contextlib import suppress


async def wait_until_set(event: asyncio.Event, seconds: float | None) -> None:
    """Return when `event` is set, or after `seconds` where they are given.

    Unlike `asyncio.wait_for` before Python 3.12, it never swallows a cancellation that arrives
    together with the event (python/cpython issue 86296).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
