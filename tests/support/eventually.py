"""Waiting for what can only be seen by looking."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")


async def eventually(look: Callable[[], Awaitable[Seen | None]], seconds: float = 30) -> Seen:
    """Look until there is something to see.

    Args:
        look: Answers nothing (None, False, …) as long as there is nothing.
        seconds: How long to look at most; then TimeoutError.
    """
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen
