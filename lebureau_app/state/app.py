"""What every page knows: who is signed in, what went wrong, what just happened."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import reflex as rx

from lebureau_app.errors import LeBureauError, NotSignedIn
from lebureau_app.models import Role, new_id
from lebureau_app.services import access, desktops, events, sessions, snapshots
from lebureau_app.state import presence
from lebureau_app.state.views import NoticeView, ProblemView

logger = logging.getLogger(__name__)

NOTICE = 8.0
"""Seconds that a notice stays; the stylesheet fades it as long."""

_GATHER = 0.15
_CHECK = 5.0


class AppState(rx.State):
    """The root of all our states. `AuthGuard` sets the caller before every event."""

    email: str = ""
    may_operate: bool = False
    is_owner: bool = False
    problem: ProblemView = ProblemView()
    notice: NoticeView = NoticeView()
    _caller: access.Caller | None = None
    _watch: int = 0
    _said_at: float = 0.0

    def admit(self, caller: access.Caller | None) -> None:
        """Take note of who is calling."""
        self._caller = caller
        roles = set(caller.roles.values()) if caller else set()
        for name, value in {
            "email": caller.email if caller else "",
            "may_operate": bool(roles & {Role.OPERATOR, Role.OWNER}),
            "is_owner": Role.OWNER in roles,
        }.items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    @property
    def caller(self) -> access.Caller:
        """Who is calling.

        Raises:
            NotSignedIn: Nobody; the guard lets no such event through.
        """
        if self._caller is None:
            raise NotSignedIn
        return self._caller

    @contextmanager
    def in_place(self, keep: bool = False) -> Iterator[None]:
        """Show an error of the block on the page, with its hint and an id that is in the log.

        Args:
            keep: Leave the error of something else on the page; a person puts that away.
        """
        if not keep:
            self.problem = ProblemView()
        try:
            yield
        except LeBureauError as error:
            self.problem = problem_of(error)
        except Exception:
            failure = problem_of(LeBureauError())
            logger.exception("request %s: a page's event failed", failure.request_id)
            self.problem = failure

    def say(self, text: str, desktop_id: str = "", undo: str = "", snapshot_id: str = "") -> None:
        """Tell what just happened, with a way back where there is one."""
        self.notice = NoticeView(self.notice.id + 1, text, desktop_id, undo, snapshot_id)
        self._said_at = time.monotonic()

    @rx.event
    def dismiss(self) -> None:
        """Put the error away."""
        self.problem = ProblemView()

    @rx.event
    async def start(self, desktop_id: str) -> None:
        """Start a desktop."""
        with self.in_place():
            row = await desktops.start(self.caller, desktop_id)
            self.say(f"{row.name} is starting.", desktop_id, "stop")

    @rx.event
    async def stop(self, desktop_id: str) -> None:
        """Stop a desktop."""
        with self.in_place():
            row = await desktops.stop(self.caller, desktop_id)
            self.say(f"{row.name} is stopping.", desktop_id, "start")

    @rx.event
    async def restart(self, desktop_id: str) -> None:
        """Restart a desktop."""
        with self.in_place():
            row = await desktops.restart(self.caller, desktop_id)
            self.say(f"{row.name} is restarting.", desktop_id)

    @rx.event
    async def hibernate(self, desktop_id: str) -> None:
        """Give a desktop's memory back to the host, and keep everything that is in it."""
        with self.in_place():
            row = await desktops.hibernate(self.caller, desktop_id)
            self.say(f"{row.name} is hibernating. It wakes where it was.", desktop_id, "start")

    @rx.event
    async def cancel(self, desktop_id: str) -> None:
        """Stop what is being done to a desktop."""
        with self.in_place():
            row = await desktops.cancel(self.caller, desktop_id)
            self.say(f"Cancelling what is being done to {row.name}.", desktop_id)

    @rx.event
    async def undo(self) -> None:
        """Take back what the notice tells of."""
        notice, self.notice = self.notice, NoticeView(self.notice.id + 1)
        with self.in_place():
            if notice.undo == "restore":
                await snapshots.restore(self.caller, notice.desktop_id, notice.snapshot_id)
            elif notice.undo == "stop":
                await desktops.stop(self.caller, notice.desktop_id)
            elif notice.undo == "start":
                await desktops.start(self.caller, notice.desktop_id)

    def _forget_notice(self) -> None:
        if self.notice.text and time.monotonic() - self._said_at > NOTICE:
            self.notice = NoticeView(self.notice.id + 1)

    async def changes(self) -> AsyncIterator[list[events.Told]]:
        """What happens in the caller's workspaces, in batches, for as long as the page is open.

        The first batch is empty and comes at once. Ends with the page, with the next page that
        watches, and with the session; call it from a background event.
        """
        async with self:
            self._watch += 1
            mine, sid = self._watch, self.router.session.session_id
            cookie = (self.router_data.get("headers") or {}).get("cookie", "")
            caller = self.caller
            self._forget_notice()
        async with events.bus.subscribe() as listener:
            yield []
            while True:
                happened = await _next_batch(listener)
                async with self:
                    if self._watch != mine or not presence.is_open(sid):
                        return
                if not happened and await sessions.caller_from_cookie(cookie) is None:
                    return
                concerning = [told for told in happened if told.concerns(caller.roles)]
                if concerning:
                    yield concerning


def problem_of(error: LeBureauError) -> ProblemView:
    """An error as a page shows it."""
    details = " ".join(error.fields.values())
    message = f"{error.message} {details}" if details else error.message
    request_id = new_id("req")
    logger.info("request %s: %s: %s", request_id, error.code, error.message)
    return ProblemView(message, "" if error.hint in message else error.hint, request_id)


async def _next_batch(listener: events.Listener) -> list[events.Told]:
    try:
        first = await asyncio.wait_for(listener.get(), _CHECK)
    except TimeoutError:
        return []
    await asyncio.sleep(_GATHER)
    return [first, *listener.drain()]
