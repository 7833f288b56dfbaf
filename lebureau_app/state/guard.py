"""Every event of every page is authenticated by the cookie that came with its socket."""

from urllib.parse import quote

import reflex as rx
from reflex.event import Event
from reflex.state import BaseState, StateUpdate

from lebureau_app.services import sessions
from lebureau_app.state.app import AppState

_FRAMEWORK = "reflex___state____"
_PUBLIC_STATES = ("sign_in_state",)


class AuthGuard(rx.Middleware):
    """Lets an event through only for somebody who is signed in.

    Only what a page needs to come up, and the sign-in page itself, is public. The cookie is that of
    the handshake: the server took it down then, and no message of the client can change it.
    """

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        """Refuse with a redirect to the sign-in page, or tell the state who is calling."""
        headers = state.router_data.get("headers") or {}
        caller = await sessions.caller_from_cookie(headers.get("cookie", ""))
        root = state._get_root_state()
        page = await root.get_state(AppState)
        if page._caller and (caller is None or caller.user_id != page._caller.user_id):
            root.reset()  # the same tab, another person: nothing of the first one stays
        page.admit(caller)
        if caller is None and not is_public(event.name):
            return StateUpdate(events=Event.from_event_type(rx.redirect(_sign_in(state))))
        return None


def is_public(name: str) -> bool:
    """Whether an event may come from somebody who is not signed in.

    Args:
        name: The full name, `state.substate.handler`.
    """
    *path, _ = name.split(".")
    own = path[-1].rsplit("____", 1)[-1]
    return path[-1].startswith(_FRAMEWORK) or own in _PUBLIC_STATES


def _sign_in(state: BaseState) -> str:
    path = state.router.url.path
    return "/login/" if path == "/" else f"/login/?next={quote(path)}"
