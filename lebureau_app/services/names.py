"""The names of desktops."""

import re

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app.errors import Invalid
from lebureau_app.models import Desktop

LONGEST = 63

_NAME = re.compile(rf"[A-Za-z0-9-]{{1,{LONGEST}}}")
_ROOM_FOR_A_NUMBER = len("-9999")


def check(name: str) -> None:
    """Refuse what cannot be a desktop's name, nor its guest's (RFC 1123 §2.1).

    Raises:
        Invalid: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "That name cannot be used.",
            fields={"name": f"1 to {LONGEST} characters: letters, digits and hyphens."},
        )


def prefix_of(name: str) -> str:
    """A desktop's name as the beginning of others, cut where a number would not fit."""
    return name[: LONGEST - _ROOM_FOR_A_NUMBER]


def check_prefix(prefix: str) -> None:
    """Refuse what cannot be the beginning of desktops' names.

    Raises:
        Invalid: It cannot.
    """
    if not _NAME.fullmatch(prefix) or len(prefix) > LONGEST - _ROOM_FOR_A_NUMBER:
        raise Invalid(
            "Those names cannot be used.",
            fields={
                "namePrefix": f"1 to {LONGEST - _ROOM_FOR_A_NUMBER} characters: letters, digits "
                "and hyphens."
            },
        )


async def free(session: AsyncSession, workspace_id: str, pattern: str, count: int = 1) -> list[str]:
    """Names that no living desktop of a workspace has, with the lowest numbers.

    Args:
        session: The open transaction.
        workspace_id: Whose desktops.
        pattern: A format string that takes the number.
        count: How many names.
    """
    query = select(Desktop.name).where(
        Desktop.workspace_id == workspace_id, col(Desktop.destroyed_at).is_(None)
    )
    taken = set(await session.exec(query))
    found: list[str] = []
    number = 1
    while len(found) < count:
        name = pattern.format(number)
        if name not in taken:
            found.append(name)
        number += 1
    return found
