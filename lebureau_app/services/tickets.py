"""One-use passes for WebSockets, for clients that have no cookie."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import col, select

from lebureau_app import db
from lebureau_app.errors import DesktopDestroyed, NotSignedIn
from lebureau_app.models import ApiKey, Membership, Session, Status, Ticket, User, utc_now
from lebureau_app.services import channels, desktops, users, waking
from lebureau_app.services.access import Caller
from lebureau_app.services.vault import digest

LIFETIME = timedelta(seconds=30)


class TicketInvalid(NotSignedIn):
    """The ticket is unknown, used, expired, or for something else."""

    code = "ticket_invalid"
    message = "This ticket is not valid here, or has been used."
    hint = "A ticket lives 30 seconds and works once: get a new one."


@dataclass(frozen=True, slots=True)
class Pass:
    """What a redeemed ticket allows."""

    caller: Caller
    mode: str


async def create(
    caller: Caller, desktop_id: str, channel: str, mode: str | None
) -> tuple[Ticket, str]:
    """Make a ticket; a hibernated desktop is woken first.

    Args:
        caller: Whose place its holder takes.
        desktop_id: The one desktop that it is for.
        channel: `vnc` or `terminal`.
        mode: `control` or `view`; None for what the caller's role allows.

    Returns:
        The row and the ticket itself, which cannot be read again.

    Raises:
        DesktopNotFound: Not the caller's.
        Forbidden: The role does not allow this mode.
        DesktopDestroyed: It is gone.
        ChannelNotReady: It has not woken in time.
    """
    caller.need_scope("write")
    desktop = await desktops.get(caller, desktop_id)
    mode = mode or channels.mode_for(caller, desktop)
    caller.need_role(desktop.workspace_id, channels.role_for(mode))
    if desktop.status == Status.DESTROYED:
        raise DesktopDestroyed
    if desktop.status == Status.HIBERNATED:
        await waking.awake(caller, desktop, channels.LIGHTS[channel], channels.TICKET_PATIENCE)
    token = secrets.token_urlsafe(32)
    row = Ticket(
        token_hash=digest(token),
        user_id=caller.user_id,
        session_id=caller.session_id,
        api_key_id=caller.api_key_id,
        desktop_id=desktop.id,
        channel=channel,
        mode=mode,
        expires_at=utc_now() + LIFETIME,
    )
    async with db.writing() as session:
        session.add(row)
    return row, token


async def redeem(token: str, desktop_id: str, channel: str) -> Pass:
    """Use a ticket up; whoever comes second with it is refused, as is a wrong desktop or channel.

    Raises:
        TicketInvalid: It is not good for this, or what it hangs on has been revoked.
    """
    now = utc_now()
    async with db.writing() as session:
        used = await session.exec(
            update(Ticket)
            .where(col(Ticket.token_hash) == digest(token), col(Ticket.used_at).is_(None))
            .where(col(Ticket.expires_at) > now)
            .values(used_at=now)
        )
        if not used.rowcount:
            raise TicketInvalid
    async with db.reading() as session:
        ticket = await session.get_one(Ticket, digest(token))
        if (ticket.desktop_id, ticket.channel) != (desktop_id, channel):
            raise TicketInvalid
        rows = await session.exec(
            select(User, Membership)
            .join(Membership, col(Membership.user_id) == col(User.id), isouter=True)
            .where(User.id == ticket.user_id)
        )
        found = list(rows)
        if not found or not await _still_signed_in(session, ticket):
            raise TicketInvalid
    memberships = [membership for _, membership in found if membership is not None]
    caller = users.caller_for(
        found[0][0], memberships, session_id=ticket.session_id, api_key_id=ticket.api_key_id
    )
    return Pass(caller, ticket.mode)


async def forget_old() -> None:
    """Remove tickets that have expired."""
    async with db.writing() as session:
        await session.exec(delete(Ticket).where(col(Ticket.expires_at) < utc_now() - LIFETIME))


async def _still_signed_in(session: db.AsyncSession, ticket: Ticket) -> bool:
    if ticket.session_id:
        query = select(Session.id).where(
            Session.id == ticket.session_id,
            col(Session.revoked_at).is_(None),
            col(Session.expires_at) > utc_now(),
        )
    else:
        query = select(ApiKey.id).where(
            ApiKey.id == ticket.api_key_id,
            col(ApiKey.revoked_at).is_(None),
            or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > utc_now()),
        )
    return (await session.exec(query)).first() is not None
