"""People: their accounts and passwords."""

import re
from collections.abc import Iterable

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import Invalid, NameTaken, NotFound, NotSignedIn, WrongCredentials
from lebureau_app.models import Membership, Role, User
from lebureau_app.services import passwords, workspaces
from lebureau_app.services.access import SCOPES, Caller
from lebureau_app.services.rate_limits import limits

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")
_FIRST_USER_LOCK = 0x1EB02EA0


async def get(user_id: str) -> User:
    """A person by id.

    Raises:
        NotSignedIn: The account is gone.
    """
    async with db.reading() as session:
        user = await session.get(User, user_id)
    if user is None:
        raise NotSignedIn
    return user


async def by_email(email: str) -> User | None:
    """A person by email, in any case."""
    async with db.reading() as session:
        query = select(User).where(User.email == email.strip().lower())
        return (await session.exec(query)).first()


async def list_users() -> list[User]:
    """Everybody, oldest first; for the command line."""
    async with db.reading() as session:
        return list(await session.exec(select(User).order_by(col(User.id))))


async def anybody() -> bool:
    """Whether there is a user at all."""
    async with db.reading() as session:
        return await _count(session) > 0


async def create(email: str, password: str) -> User:
    """Make an account with a workspace of its own; for the command line.

    Raises:
        Invalid: Email or password cannot be used.
        NameTaken: There is an account with this email.
    """
    user = await _new(email, password)
    async with db.writing() as session:
        taken = await session.exec(select(User).where(User.email == user.email))
        if taken.first():
            raise NameTaken("There is an account with this email.", hint="Sign in with it.")
        await _add(session, user)
    return user


async def create_first(email: str, password: str) -> User | None:
    """Make the first account, owner of the first workspace, exactly once.

    Returns:
        None where there is somebody already.

    Raises:
        Invalid: Email or password cannot be used.
    """
    user = await _new(email, password)
    async with db.writing() as session:
        if session.get_bind().dialect.name == "postgresql":
            await session.exec(select(func.pg_advisory_xact_lock(_FIRST_USER_LOCK)))
        if await _count(session):
            return None
        await _add(session, user)
    return user


async def change_password(caller: Caller, current: str, new: str) -> None:
    """Change the caller's own password.

    Signing out the caller's other browsers is up to `sessions.revoke_others`.

    Raises:
        WrongCredentials: `current` is not the password.
        RateLimited: Too many wrong ones.
        Invalid: `new` cannot be used.
    """
    passwords.check_length(new, "newPassword")
    user = await get(caller.user_id)
    async with limits.guess(caller.address, user.email):
        if not await passwords.verify(current, user.password_hash):
            raise WrongCredentials("The current password is wrong.")
    await _store_password(user.id, new)


async def set_password(email: str, password: str) -> User:
    """Set anybody's password; for the command line.

    Raises:
        NotFound: There is no such account.
        Invalid: The password cannot be used.
    """
    user = await by_email(email)
    if user is None:
        raise NotFound("There is no account with this email.")
    await _store_password(user.id, password)
    return user


def caller_for(
    user: User,
    memberships: Iterable[Membership],
    *,
    session_id: str | None = None,
    api_key_id: str | None = None,
    scopes: Iterable[str] = SCOPES,
) -> Caller:
    """A person as a caller, once the credentials have been proved."""
    return Caller(
        user_id=user.id,
        email=user.email,
        roles={each.workspace_id: Role(each.role) for each in memberships},
        session_id=session_id,
        api_key_id=api_key_id,
        scopes=frozenset(scopes),
    )


async def _new(email: str, password: str) -> User:
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise Invalid(
            "This is not an email address.", fields={"email": "Such as name@example.org."}
        )
    return User(email=email, password_hash=await passwords.hash_password(password))


async def _add(session: AsyncSession, user: User) -> None:
    session.add(user)
    await session.flush()
    await workspaces.add_first(session, user)


async def _count(session: AsyncSession) -> int:
    return (await session.exec(select(func.count()).select_from(User))).one()


async def _store_password(user_id: str, password: str) -> None:
    hashed = await passwords.hash_password(password)
    async with db.writing() as session:
        user = await session.get(User, user_id)
        if user is None:
            raise NotSignedIn
        user.password_hash = hashed
