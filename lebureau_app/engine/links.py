"""The links to running desktops: one SSH connection each, and all that goes over it.

`Links` is what the services know as the live desktops (`services.live.Live`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable

from lebureau_app.engine.waiting import wait_until_set
from lebureau_app.errors import ChannelNotReady, DesktopNotRunning
from lebureau_app.gateway.live import CloseCode, live_sockets
from lebureau_app.guest.door import Door
from lebureau_app.guest.ssh import Completed
from lebureau_app.models import Light, Status
from lebureau_app.services import desktop_state

_MOMENT = 10.0
"""Seconds that a command waits for SSH to a desktop that runs."""

_CHANNEL_NAMES = {"screen": "The screen", "terminal": "The terminal"}


class Link(ABC):
    """The link to one running desktop.

    Attributes:
        identified: Set while the guest has its identity, keys and secrets of this boot, and
            answers over SSH.
        woken: Set when there may be a message to deliver or a run to abort.
    """

    def __init__(self, desktop_id: str) -> None:
        self.desktop_id = desktop_id
        self.identified = asyncio.Event()
        self.woken = asyncio.Event()

    @abstractmethod
    async def run(self) -> None:
        """Keep the link up until cancelled; never raises for a guest's faults."""

    @abstractmethod
    def keys_changed(self) -> None:
        """Bring the desktop's provider keys into the guest again."""

    @abstractmethod
    async def command(self, command: str, timeout: float) -> Completed:
        """Run a command as user `agent`; `timeout` in seconds."""

    @abstractmethod
    async def at_work(self) -> bool:
        """Whether a command runs in a terminal of the desktop."""

    @abstractmethod
    async def screenshot(self, width: int | None) -> bytes:
        """The screen now, as PNG."""

    @abstractmethod
    async def door(self, channel: str) -> Door:
        """The way to the guest's `screen` or `terminal`."""


class Links:
    """Every link of this process.

    Args:
        make: Makes the link of a desktop.
    """

    def __init__(self, make: Callable[[str], Link]) -> None:
        self._make = make
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}
        self._commands: Counter[str] = Counter()
        self._on_wake: list[Callable[[], None]] = []

    def on_wake(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever there is new work."""
        self._on_wake.append(call)

    def wake(self) -> None:
        """There is new work: look at once."""
        for call in self._on_wake:
            call()
        for link, _ in self._links.values():
            link.woken.set()

    async def open(self, desktop_id: str) -> None:
        """Have a link to a desktop; one that is there is left alone."""
        if desktop_id not in self._links:
            link = self._make(desktop_id)
            task = asyncio.create_task(link.run(), name=f"link {desktop_id}")
            self._links[desktop_id] = (link, task)

    async def close(self, desktop_id: str) -> None:
        """Let go of a desktop: its link, and every socket that shows it."""
        held = self._links.pop(desktop_id, None)
        if held is None:
            return
        live_sockets.close(CloseCode.DESKTOP_GONE, desktop_id=desktop_id)
        held[1].cancel()
        await asyncio.wait([held[1]])

    async def close_all(self) -> None:
        """Let go of every link; the desktops keep running."""
        for _, task in self._links.values():
            task.cancel()
        if self._links:
            await asyncio.wait([task for _, task in self._links.values()])
        self._links.clear()

    async def identity(self, desktop_id: str, seconds: float) -> bool:
        """Wait until a desktop has its identity of this boot; whether it has, after `seconds`."""
        held = self._links.get(desktop_id)
        if held is not None:
            await wait_until_set(held[0].identified, seconds)
        return self.has_identity(desktop_id)

    def has_identity(self, desktop_id: str) -> bool:
        """Whether the desktop has its identity of this boot."""
        held = self._links.get(desktop_id)
        return held is not None and held[0].identified.is_set()

    def open_ids(self) -> set[str]:
        """The desktops that there are links to."""
        return set(self._links)

    async def run(self, desktop_id: str, command: str, timeout: float) -> Completed:
        """Run a command in a desktop; one that has only just begun to run gets a moment.

        Raises:
            DesktopNotRunning: It is not running.
            ChannelNotReady: It does not answer over SSH.
        """
        self._commands[desktop_id] += 1
        try:
            await self.identity(desktop_id, min(timeout, _MOMENT))
            return await self._connected(desktop_id).command(command, timeout)
        finally:
            self._commands[desktop_id] -= 1

    async def is_at_work(self, desktop_id: str) -> bool:
        """Whether a command of somebody's runs in a desktop, by a call or in a terminal.

        Raises:
            DesktopNotRunning: It is not running.
            ChannelNotReady: It does not answer over SSH.
            GuestError: It did not answer as it should.
        """
        return self._commands[desktop_id] > 0 or await self._connected(desktop_id).at_work()

    async def screenshot(self, desktop_id: str, width: int | None) -> bytes:
        """The screen of a desktop now, as PNG, scaled to `width` pixels if given."""
        await self._must_be_ready(desktop_id, "screen")
        return await self._link(desktop_id).screenshot(width)

    async def door(self, desktop_id: str, channel: str) -> Door:
        """The way to the `screen` or the `terminal` of a desktop whose light is ready."""
        await self._must_be_ready(desktop_id, channel)
        return await self._link(desktop_id).door(channel)

    def keys_changed(self, workspace_id: str) -> None:
        """Bring provider keys into running desktops again; each looks whether it is concerned."""
        for link, _ in self._links.values():
            link.keys_changed()

    def _link(self, desktop_id: str) -> Link:
        held = self._links.get(desktop_id)
        if held is None:
            raise DesktopNotRunning
        return held[0]

    def _connected(self, desktop_id: str) -> Link:
        link = self._link(desktop_id)
        if not link.identified.is_set():
            raise ChannelNotReady("The desktop does not answer over SSH yet.")
        return link

    async def _must_be_ready(self, desktop_id: str, channel: str) -> None:
        desktop = await desktop_state.load(desktop_id)
        if desktop and desktop.readiness[channel]["state"] == Light.READY:
            return
        if desktop is None or desktop.status != Status.RUNNING:
            raise DesktopNotRunning
        raise ChannelNotReady(f"{_CHANNEL_NAMES[channel]} of the desktop is not ready yet.")
