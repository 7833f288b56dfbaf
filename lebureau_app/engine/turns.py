"""Who is resumed now.

Where the CPU is emulated, desktops that are resumed at the same time hold each other up: each is
usable sooner if only as many begin as the host has processors. A turn ends with its operation.
"""

import time

from lebureau_app.errors import NotYet
from lebureau_app.providers.base import Provider

TURN_SECONDS = 30.0
"""How long a turn lasts at most: what does not answer must not hold up the others."""


class Turns:
    """Lets few desktops at once be resumed.

    Args:
        provider: Where desktops run.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._most: int | None = None
        self._taken: dict[str, float] = {}

    async def take(self, desktop_id: str) -> None:
        """Take a turn, or keep the one that is taken.

        Raises:
            NotYet: It is the turn of others.
        """
        most = await self._limit()
        now = time.monotonic()
        for other, since in [*self._taken.items()]:
            if now - since > TURN_SECONDS:
                del self._taken[other]
        if desktop_id in self._taken or not most:
            return
        if len(self._taken) >= most:
            raise NotYet(f"Waiting for its turn: this host resumes {most} at once.")
        self._taken[desktop_id] = now

    def give_back(self, desktop_id: str) -> None:
        """Let another one begin."""
        self._taken.pop(desktop_id, None)

    async def _limit(self) -> int:
        """How many turns there are; 0 where nobody needs one."""
        if self._most is None:
            hosts = (await self._provider.capacity()).hosts
            slow = hosts and all(host.accelerator == "tcg" for host in hosts)
            self._most = sum(host.vcpus for host in hosts) if slow else 0
        return self._most
