"""What is open right now: every WebSocket and event stream, and how to close them.

A sign-out, a revoked key, a stop or a destroy closes the sockets it concerns: each relay waits on
its own `LiveSocket` beside its traffic, so closing is immediate and needs no polling.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum


class CloseCode(IntEnum):
    """Why a socket of ours was closed (api.md, WebSockets)."""

    SIGNED_OUT = 4001
    DESKTOP_GONE = 4002
    TOO_SLOW = 4003


REASONS = {
    CloseCode.SIGNED_OUT: "Signed out, or access was revoked.",
    CloseCode.DESKTOP_GONE: "The desktop was stopped or destroyed.",
    CloseCode.TOO_SLOW: "This connection is too slow for the desktop.",
}


@dataclass(eq=False)
class LiveSocket:
    """One open connection and whose it is.

    Attributes:
        user_id: Who opened it.
        session_id: The browser session that it hangs on, if any.
        api_key_id: The API key that it hangs on, if any.
        desktop_id: The desktop that it shows; None for a stream of events.
        channel: `vnc`, `terminal` or `events`.
        mode: `control` or `view`.
        code: Why it must close, once it must.
    """

    user_id: str
    session_id: str | None = None
    api_key_id: str | None = None
    desktop_id: str | None = None
    channel: str = "events"
    mode: str = "view"
    code: CloseCode | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def close(self, code: CloseCode) -> None:
        """Tell whoever serves this connection to close it; the first code stays."""
        if self.code is None:
            self.code = code
            self._ended.set()

    async def closed(self) -> CloseCode:
        """Wait until this connection must close; answers why."""
        await self._ended.wait()
        assert self.code is not None
        return self.code


class LiveSockets:
    """The register of everything that is open in this process."""

    def __init__(self) -> None:
        self._open: set[LiveSocket] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[LiveSocket]:
        return iter(list(self._open))

    @contextmanager
    def register(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        api_key_id: str | None = None,
        desktop_id: str | None = None,
        channel: str = "events",
        mode: str = "view",
    ) -> Iterator[LiveSocket]:
        """Hold a connection in the register for as long as the block runs."""
        live = LiveSocket(user_id, session_id, api_key_id, desktop_id, channel, mode)
        self._open.add(live)
        try:
            yield live
        finally:
            self._open.discard(live)

    def close(
        self,
        code: CloseCode,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        api_key_id: str | None = None,
        desktop_id: str | None = None,
    ) -> int:
        """Close what matches every given id.

        Args:
            code: Why; the peer sees it as the close code.
            user_id: Only this person's.
            session_id: Only what hangs on this browser session.
            api_key_id: Only what hangs on this API key.
            desktop_id: Only what shows this desktop.

        Returns:
            How many were told to close.

        Raises:
            ValueError: No id is given: nobody means "everything" by mistake.
        """
        wanted = {
            name: value
            for name, value in (
                ("user_id", user_id),
                ("session_id", session_id),
                ("api_key_id", api_key_id),
                ("desktop_id", desktop_id),
            )
            if value is not None
        }
        if not wanted:
            raise ValueError("say whose sockets to close")
        matching = [
            live
            for live in self._open
            if all(getattr(live, name) == value for name, value in wanted.items())
        ]
        for live in matching:
            live.close(code)
        return len(matching)


live_sockets = LiveSockets()
