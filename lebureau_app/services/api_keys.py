"""Keys for our REST API. The secret is shown once and stored as its hash."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlmodel import col, select

from lebureau_app import db
from lebureau_app.errors import Invalid, NotFound
from lebureau_app.gateway.live import CloseCode, live_sockets
from lebureau_app.models import ApiKey, Membership, User, utc_now
from lebureau_app.services import users
from lebureau_app.services.access import SCOPES, Caller, Scope
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page
from lebureau_app.services.vault import digest

PREFIX = "lb_"

_USED_EVERY = timedelta(minutes=1)


async def caller_from_bearer(token: str) -> Caller | None:
    """Who a program is, by its API key.

    Returns:
        None for an unknown, expired or revoked key.
    """
    if not token.startswith(PREFIX) or len(token) > 100:
        return None
    async with db.reading() as session:
        rows = await session.exec(
            select(ApiKey, User, Membership)
            .join(User, col(User.id) == col(ApiKey.user_id))
            .join(Membership, col(Membership.user_id) == col(User.id), isouter=True)
            .where(ApiKey.token_hash == digest(token), col(ApiKey.revoked_at).is_(None))
            .where(or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > utc_now()))
        )
        found = list(rows)
    if not found:
        return None
    key, user, _ = found[0]
    await _used(key)
    memberships = [membership for _, _, membership in found if membership is not None]
    return users.caller_for(user, memberships, api_key_id=key.id, scopes=key.scopes)


async def list_api_keys(
    caller: Caller, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[ApiKey]:
    """The caller's keys that have not been revoked, newest first."""
    query = select(ApiKey).where(ApiKey.user_id == caller.user_id, col(ApiKey.revoked_at).is_(None))
    async with db.reading() as session:
        return await page(session, query, ApiKey, limit=limit, cursor=cursor)


async def create(
    caller: Caller,
    name: str,
    scopes: Sequence[Scope] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for the caller.

    Args:
        caller: Whose key it becomes.
        name: What a person calls it.
        scopes: What it allows; all that the caller has when left out.
        expires_at: When it stops working, or None.

    Returns:
        The row and the secret, which cannot be read again.

    Raises:
        MissingScope: A key cannot make a key that may do more than itself.
        Invalid: The expiry is in the past, or there is no name or scope.
    """
    caller.need_scope("admin")
    name = name.strip()
    if not name:
        raise Invalid("The API key needs a name.", fields={"name": "Say what it is for."})
    if scopes is not None and not scopes:
        raise Invalid("The API key needs a scope.", fields={"scopes": "Name at least one."})
    if expires_at is not None and expires_at <= utc_now():
        raise Invalid("The expiry is in the past.", fields={"expiresAt": "Choose a later time."})
    wanted = caller.scopes if scopes is None else scopes
    granted: list[Scope] = [scope for scope in SCOPES if scope in wanted]
    for scope in granted:
        caller.need_scope(scope)
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(
        user_id=caller.user_id,
        name=name,
        token_hash=digest(secret),
        last4=secret[-4:],
        scopes=list(granted),
        expires_at=expires_at,
    )
    async with db.writing() as session:
        session.add(row)
    return row, secret


async def revoke(caller: Caller, key_id: str) -> None:
    """Make one of the caller's keys useless at once, and close what is open on it.

    Raises:
        NotFound: The caller has no such key.
    """
    caller.need_scope("admin")
    async with db.writing() as session:
        revoked = await session.exec(
            update(ApiKey)
            .where(col(ApiKey.id) == key_id, col(ApiKey.user_id) == caller.user_id)
            .where(col(ApiKey.revoked_at).is_(None))
            .values(revoked_at=utc_now())
        )
    if not revoked.rowcount:
        raise NotFound("There is no such API key.")
    live_sockets.close(CloseCode.SIGNED_OUT, api_key_id=key_id)


async def _used(row: ApiKey) -> None:
    now = utc_now()
    if row.last_used_at and now - row.last_used_at < _USED_EVERY:
        return
    async with db.writing() as session:
        await session.exec(update(ApiKey).where(col(ApiKey.id) == row.id).values(last_used_at=now))
