"""Signed-in browsers."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie

from sqlalchemy import delete, or_, update
from sqlmodel import col, select

from lebureau_app import db
from lebureau_app.errors import NotFound, WrongCredentials
from lebureau_app.gateway.live import CloseCode, live_sockets
from lebureau_app.models import ApiKey, Membership, Session, User, utc_now
from lebureau_app.services import passwords, users, workspaces
from lebureau_app.services.access import Caller
from lebureau_app.services.rate_limits import limits
from lebureau_app.services.vault import digest

COOKIE = "lebureau_session"
LIFETIME = timedelta(days=7)

_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session; `token` is the cookie's value and is not kept anywhere."""

    token: str
    session: Session
    user: User


async def caller_from_cookie(cookie_header: str) -> Caller | None:
    """Who a browser is, by its `Cookie` header (RFC 6265).

    Using a session keeps it alive: it ends seven days after its last use.

    Returns:
        None where there is no session, or it has expired or been revoked.
    """
    token = _token_in(cookie_header)
    if token is None:
        return None
    async with db.reading() as reading:
        rows = await reading.exec(
            select(Session, User, Membership)
            .join(User, col(User.id) == col(Session.user_id))
            .join(Membership, col(Membership.user_id) == col(User.id), isouter=True)
            .where(Session.token_hash == digest(token), col(Session.revoked_at).is_(None))
            .where(col(Session.expires_at) > utc_now())
        )
        found = list(rows)
    if not found:
        return None
    session, user, _ = found[0]
    await _seen(session)
    memberships = [membership for _, _, membership in found if membership is not None]
    return users.caller_for(user, memberships, session_id=session.id)


async def list_sessions(caller: Caller) -> list[Session]:
    """The caller's browsers that are signed in, newest first."""
    query = (
        select(Session)
        .where(Session.user_id == caller.user_id, col(Session.revoked_at).is_(None))
        .where(col(Session.expires_at) > utc_now())
        .order_by(col(Session.id).desc())
    )
    async with db.reading() as session:
        return list(await session.exec(query))


async def sign_in(email: str, password: str, address: str, user_agent: str) -> SignedIn:
    """Sign a browser in.

    Args:
        email: The account.
        password: Its password.
        address: Where the request comes from.
        user_agent: What the browser calls itself.

    Raises:
        WrongCredentials: The email or the password is wrong; which one is not told.
        RateLimited: Ten failures in five minutes from this address or for this account.
    """
    async with limits.guess(address, email):
        user = await users.by_email(email)
        if not await passwords.verify(password, user and user.password_hash) or user is None:
            raise WrongCredentials
    return await open_for(user, address, user_agent)


async def open_for(user: User, address: str, user_agent: str) -> SignedIn:
    """Open a session for somebody who has just proved who they are."""
    token = secrets.token_urlsafe(32)
    row = Session(
        token_hash=digest(token),
        user_id=user.id,
        address=address,
        user_agent=user_agent[:300],
        expires_at=utc_now() + LIFETIME,
    )
    async with db.writing() as session:
        session.add(row)
        await workspaces.add_first(session, user)
    return SignedIn(token, row, user)


async def sign_out(cookie_header: str) -> None:
    """Revoke the browser's session and close what is open on it; unknown ones are ignored."""
    token = _token_in(cookie_header)
    if token is None:
        return
    async with db.reading() as session:
        found = (
            await session.exec(select(Session).where(Session.token_hash == digest(token)))
        ).first()
    if found:
        await _revoke(found.user_id, found.id)


async def revoke(caller: Caller, session_id: str) -> None:
    """Sign one of the caller's browsers out.

    Raises:
        NotFound: The caller has no such session.
    """
    if not await _revoke(caller.user_id, session_id):
        raise NotFound("There is no such session.")


async def revoke_others(caller: Caller) -> None:
    """Sign out all of the caller's browsers but the one that calls."""
    for session in await list_sessions(caller):
        if session.id != caller.session_id:
            await _revoke(caller.user_id, session.id)


async def revoke_all(user_id: str) -> None:
    """Sign somebody out everywhere."""
    async with db.writing() as session:
        await session.exec(
            update(Session)
            .where(col(Session.user_id) == user_id, col(Session.revoked_at).is_(None))
            .values(revoked_at=utc_now())
        )
    live_sockets.close(CloseCode.SIGNED_OUT, user_id=user_id)


async def close_ended() -> None:
    """Close what is open on sessions and API keys that have expired, or that another process or
    the command line has revoked.
    """
    of_sessions = {live.session_id for live in live_sockets if live.session_id}
    of_keys = {live.api_key_id for live in live_sockets if live.api_key_id}
    if not of_sessions and not of_keys:
        return
    now = utc_now()
    async with db.reading() as session:
        going_on = await session.exec(
            select(Session.id)
            .where(col(Session.id).in_(of_sessions), col(Session.revoked_at).is_(None))
            .where(col(Session.expires_at) > now)
        )
        ended = of_sessions - set(going_on)
        good = await session.exec(
            select(ApiKey.id)
            .where(col(ApiKey.id).in_(of_keys), col(ApiKey.revoked_at).is_(None))
            .where(or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now))
        )
        useless = of_keys - set(good)
    for session_id in ended:
        live_sockets.close(CloseCode.SIGNED_OUT, session_id=session_id)
    for key_id in useless:
        live_sockets.close(CloseCode.SIGNED_OUT, api_key_id=key_id)


async def forget_old() -> None:
    """Remove sessions that ended more than a lifetime ago."""
    async with db.writing() as session:
        await session.exec(delete(Session).where(col(Session.expires_at) < utc_now() - LIFETIME))


def _token_in(cookie_header: str) -> str | None:
    try:
        morsel = SimpleCookie(cookie_header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel and len(morsel.value) <= 100 else None


async def _seen(row: Session) -> None:
    now = utc_now()
    if now - row.last_seen_at < _SEEN_EVERY:
        return
    async with db.writing() as session:
        await session.exec(
            update(Session)
            .where(col(Session.id) == row.id, col(Session.revoked_at).is_(None))
            .values(last_seen_at=now, expires_at=now + LIFETIME)
        )


async def _revoke(user_id: str, session_id: str) -> bool:
    async with db.writing() as session:
        revoked = await session.exec(
            update(Session)
            .where(col(Session.id) == session_id, col(Session.user_id) == user_id)
            .where(col(Session.revoked_at).is_(None))
            .values(revoked_at=utc_now())
        )
    live_sockets.close(CloseCode.SIGNED_OUT, session_id=session_id)
    return revoked.rowcount > 0
