"""How often somebody may call, and guess a password. Counted in memory, for this process."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from lebureau_app.errors import RateLimited, WrongCredentials
from lebureau_app.services.vault import digest
from lebureau_app.settings import get_settings

FAILED_SIGN_INS = RateLimitItemPerMinute(10, 5)


class RateLimits:
    """The counters of one process."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._one_guess_at_a_time = asyncio.Lock()

    async def count_call(self, who: str) -> None:
        """Count a call to the API.

        Args:
            who: `Caller.key`, or an address where nobody is signed in.

        Raises:
            RateLimited: More than `LEBUREAU_RATE_LIMIT` in this second.
        """
        allowed = RateLimitItemPerSecond(get_settings().rate_limit)
        if not await self._limiter.hit(allowed, "api", who):
            raise RateLimited(await self._wait(allowed, "api", who))

    @asynccontextmanager
    async def guess(self, address: str, account: str) -> AsyncIterator[None]:
        """Guard one try at a password: a `WrongCredentials` in the block is counted.

        One try at a time, so that a burst cannot slip in before its failures are counted, and
        hashing cannot be used to fill the memory.

        Raises:
            RateLimited: Too many failures from this address or for this account.
        """
        keys = (("address", address), ("account", digest(account.strip().lower())))
        async with self._one_guess_at_a_time:
            for kind, key in keys:
                if not await self._limiter.test(FAILED_SIGN_INS, kind, key):
                    wait = await self._wait(FAILED_SIGN_INS, kind, key)
                    raise RateLimited(wait, "Too many failed sign-ins.")
            try:
                yield
            except WrongCredentials:
                for kind, key in keys:
                    await self._limiter.hit(FAILED_SIGN_INS, kind, key)
                raise

    async def _wait(self, item: RateLimitItem, kind: str, key: str) -> int:
        stats = await self._limiter.get_window_stats(item, kind, key)
        return max(1, math.ceil(stats.reset_time - time.time()))


limits = RateLimits()


def reset() -> None:
    """Forget everything that was counted."""
    limits.__init__()
