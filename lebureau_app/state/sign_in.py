"""The sign-in page; the only state that somebody unknown may talk to."""

import reflex as rx

from lebureau_app.services import users

_REASONS = {
    "wrong_credentials": "The email or the password is wrong.",
    "rate_limited": "Too many tries. Wait five minutes, then try again.",
    "wrong_origin": "That came from another site and was refused. Sign in here.",
    "invalid": "Email and password are both needed.",
}


class SignInState(rx.State):
    """Why the last try failed, and where to go after the next."""

    reason: str = ""
    next_path: str = "/"
    needs_setup: bool = False

    @rx.event
    async def open(self):
        """Read what the address says: `error` and `next`."""
        asked = self.router.url.query_parameters
        error = asked.get("error", "")
        self.reason = _REASONS.get(error, "That did not work. Try again.") if error else ""
        self.next_path = own_path(asked.get("next", "/"))
        self.needs_setup = not await users.anybody()


def own_path(path: str) -> str:
    """A path of ours, or the front page for anything that could lead elsewhere."""
    elsewhere = not path.startswith("/") or path.startswith("//") or "\\" in path
    return "/" if elsewhere else path
