"""The first visit: making the owner account, by a one-time link or unattended."""

import hmac
import logging
import os
import secrets
from pathlib import Path

from lebureau_app.errors import Forbidden
from lebureau_app.models import User
from lebureau_app.services import users
from lebureau_app.settings import get_settings

log = logging.getLogger(__name__)


class SetupLinkInvalid(Forbidden):
    """The set-up link is wrong, or has been used."""

    code = "setup_link_invalid"
    message = "This set-up link is not valid, or Le Bureau has already been set up."
    hint = "Sign in; or use the link that the server printed in its terminal when it last started."


async def setup_link(origin: str) -> str | None:
    """The link that makes the owner account; it is the same until it has been used.

    The token is in the fragment, which no browser sends to a server or writes into a referrer.

    Args:
        origin: The address of the server, without a path.

    Returns:
        None once there is a user.
    """
    if await users.anybody():
        _token_file().unlink(missing_ok=True)
        return None
    return f"{origin}/setup#token={_own_token()}"


async def complete(token: str, email: str, password: str) -> User:
    """Make the owner account and the first workspace.

    Raises:
        SetupLinkInvalid: The token is wrong, or there is a user already.
        Invalid: Email or password cannot be used.
    """
    if not _is_ours(token):
        raise SetupLinkInvalid
    owner = await users.create_first(email, password)
    _token_file().unlink(missing_ok=True)
    if owner is None:
        raise SetupLinkInvalid
    return owner


async def create_admin() -> None:
    """Make the owner account from LEBUREAU_ADMIN_EMAIL and _PASSWORD, where nobody exists yet.

    Raises:
        Invalid: Email or password cannot be used.
    """
    settings = get_settings()
    if not settings.admin_email or not settings.admin_password:
        return
    if await users.anybody():
        return
    password = settings.admin_password.get_secret_value()
    if await users.create_first(settings.admin_email, password):
        _token_file().unlink(missing_ok=True)
        log.info("The owner account %s has been made.", settings.admin_email)


def _token_file() -> Path:
    return get_settings().home / "setup.token"


def _own_token() -> str:
    path = _token_file()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    token = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token


def _is_ours(token: str) -> bool:
    try:
        expected = _token_file().read_text()
    except FileNotFoundError:
        return False
    return bool(expected) and hmac.compare_digest(token.encode(), expected.encode())
