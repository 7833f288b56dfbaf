"""Using a desktop: a command, a picture of its screen, the doors to screen and terminal."""

from lebureau_app.errors import DesktopDestroyed, DesktopNotRunning
from lebureau_app.guest.door import Door
from lebureau_app.guest.ssh import Completed
from lebureau_app.models import Desktop, Light, Role, Status
from lebureau_app.services import activity, desktops, pictures, waking
from lebureau_app.services.access import Caller
from lebureau_app.services.live import live

LIGHTS = {"vnc": "screen", "terminal": "terminal"}

PATIENCE = 60.0
"""Seconds that a command waits for its desktop to wake."""

TICKET_PATIENCE = 10.0
"""The same for a ticket."""


async def execute(caller: Caller, desktop_id: str, command: str, timeout: float) -> Completed:
    """Run a command by `bash -lc` as user `agent` in its home; a hibernated desktop wakes for it.

    Args:
        caller: Who runs it; an operator.
        desktop_id: Where.
        command: One string for the shell.
        timeout: Seconds.

    Raises:
        DesktopNotRunning: It does not run, or could not be woken.
        ChannelNotReady: It cannot be reached yet.
        GuestError: It did not answer as it should.
    """
    caller.need_scope("write")
    desktop = await _member(caller, desktop_id, Role.OPERATOR)
    await waking.awake(caller, desktop, "ssh", PATIENCE)
    activity.note(desktop.id)
    done = await live().run(desktop.id, command, timeout)
    activity.note(desktop.id)
    return done


async def screenshot(caller: Caller, desktop_id: str, width: int | None) -> bytes:
    """The screen as PNG, `width` pixels wide if given; for every member.

    Of a desktop whose screen is off it is the last picture that there is.

    Raises:
        DesktopNotRunning: It does not run, and there is no picture.
        ChannelNotReady: The screen is not ready.
        GuestError: The screen did not answer as it should.
    """
    caller.need_scope("read")
    desktop = await _member(caller, desktop_id, Role.VIEWER)
    if _is_off(desktop, "screen"):
        png = await pictures.last(desktop.id, desktop.born_of, width=width)
        if png is None:
            raise DesktopNotRunning(f"This desktop is {desktop.status}.")
        return png
    return await live().screenshot(desktop.id, width)


async def door(caller: Caller, desktop_id: str, channel: str, mode: str) -> Door:
    """The way to a channel for somebody who may use it that way.

    Nobody is woken by it: a page that was left open comes again and again by itself.

    Args:
        caller: Who wants to go through.
        desktop_id: Where to.
        channel: `vnc` or `terminal`.
        mode: `control` or `view`.

    Raises:
        DesktopNotFound: Not the caller's.
        Forbidden: The role does not allow this mode.
        DesktopNotRunning: It does not run.
        ChannelNotReady: The channel's light is not ready.
    """
    desktop = await _member(caller, desktop_id, role_for(mode))
    if _is_off(desktop, LIGHTS[channel]):
        raise DesktopNotRunning(f"This desktop is {desktop.status}.")
    return await live().door(desktop.id, LIGHTS[channel])


def role_for(mode: str) -> Role:
    """The role that a mode needs."""
    return Role.OPERATOR if mode == "control" else Role.VIEWER


def mode_for(caller: Caller, desktop: Desktop) -> str:
    """What a caller may do with a desktop who did not say what they want."""
    return "view" if caller.roles.get(desktop.workspace_id) == Role.VIEWER else "control"


def _is_off(desktop: Desktop, channel: str) -> bool:
    """Whether a desktop does not run, nor has its identity already and only waits for SSH."""
    ready = desktop.readiness[channel]["state"] == Light.READY
    return desktop.status != Status.RUNNING and not ready


async def _member(caller: Caller, desktop_id: str, role: Role) -> Desktop:
    desktop = await desktops.get(caller, desktop_id)
    caller.need_role(desktop.workspace_id, role)
    if desktop.status == Status.DESTROYED:
        raise DesktopDestroyed
    return desktop
