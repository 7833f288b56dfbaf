"""Workspaces: what a caller belongs to."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import NotFound
from lebureau_app.models import Membership, Role, User, Workspace
from lebureau_app.services.access import Caller
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page


async def list_workspaces(
    caller: Caller, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[Workspace]:
    """The caller's workspaces, newest first; the caller's role is in `caller.roles`."""
    query = select(Workspace).where(col(Workspace.id).in_(list(caller.roles)))
    async with db.reading() as session:
        return await page(session, query, Workspace, limit=limit, cursor=cursor)


async def get(caller: Caller, workspace_id: str) -> Workspace:
    """One of the caller's workspaces.

    Raises:
        NotFound: There is none, or it is not the caller's.
    """
    async with db.reading() as session:
        found = await session.get(Workspace, workspace_id)
    if found is None or workspace_id not in caller.roles:
        raise NotFound("There is no such workspace.")
    return found


async def add_first(session: AsyncSession, user: User) -> Workspace | None:
    """Give somebody who belongs nowhere a workspace of their own, in the caller's transaction."""
    query = select(Membership).where(Membership.user_id == user.id)
    if (await session.exec(query)).first():
        return None
    workspace = Workspace(name="My workspace")
    session.add(workspace)
    await session.flush()
    session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=Role.OWNER))
    return workspace
