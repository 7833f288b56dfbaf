"""Workspaces: what a caller belongs to, and the rule of its desktops."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import NotFound
from lebureau_app.models import Desktop, Membership, Role, Status, User, Workspace
from lebureau_app.services import desktop_state
from lebureau_app.services.access import Caller
from lebureau_app.services.live import live
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


async def change(caller: Caller, workspace_id: str, *, hibernate_after: int) -> Workspace:
    """Say when the idle desktops of a workspace hibernate that have no rule of their own.

    Args:
        caller: Who says so; an owner.
        workspace_id: Which workspace.
        hibernate_after: Idle seconds; 0 never.

    Raises:
        NotFound: The workspace is not the caller's.
        Forbidden: The caller is no owner.
    """
    caller.need_scope("write")
    caller.need_role(workspace_id, Role.OWNER)
    async with db.writing() as session:
        workspace = await session.get_one(Workspace, workspace_id)
        workspace.hibernate_after = hibernate_after
        session.add(workspace)
        following = select(Desktop).where(
            Desktop.workspace_id == workspace_id,
            Desktop.status != Status.DESTROYED,
            col(Desktop.hibernate_after).is_(None),
        )
        for desktop in await session.exec(following):
            desktop_state.apply(session, desktop, {"idle_after": hibernate_after})
    live().wake()
    return workspace


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
