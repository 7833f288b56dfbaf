"""The running desktops, as the engine holds them: what services ask of a live machine.

The composition root provides the implementation, so that no service depends on the engine.
"""

from typing import Protocol

from lebureau_app.guest.door import Door
from lebureau_app.guest.ssh import Completed


class Live(Protocol):
    """What can be asked of desktops that are up.

    Errors of every call: `DesktopNotRunning`, `ChannelNotReady`, `GuestError`.
    """

    def wake(self) -> None:
        """There is new work: look at once."""

    async def door(self, desktop_id: str, channel: str) -> Door:
        """The way to the `screen` or the `terminal` of a desktop whose light is ready."""
        ...

    async def run(self, desktop_id: str, command: str, timeout: float) -> Completed:
        """Run a command as user `agent` in its home; `timeout` in seconds."""
        ...

    async def screenshot(self, desktop_id: str, width: int | None) -> bytes:
        """The screen now, as PNG, scaled to `width` pixels if given."""
        ...

    def keys_changed(self, workspace_id: str) -> None:
        """Provider keys changed: bring them into the workspace's running desktops."""


_live: Live | None = None


def provide(implementation: Live) -> None:
    """Give the services their live desktops; called once by the composition root."""
    global _live
    _live = implementation


def live() -> Live:
    """The live desktops of this process."""
    if _live is None:
        raise RuntimeError("no engine: the composition root calls live.provide()")
    return _live
