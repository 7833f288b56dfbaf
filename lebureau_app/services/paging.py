"""Lists in pages, newest first, with a cursor that survives new rows."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from lebureau_app.errors import Malformed

Row = TypeVar("Row", bound=SQLModel)

DEFAULT_LIMIT = 50
MOST = 200

_ID = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows; `next_cursor` is None on the last."""

    rows: list[Row]
    next_cursor: str | None


async def page(
    session: AsyncSession,
    query: SelectOfScalar[Row],
    model: Any,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    oldest_first: bool = False,
) -> Page[Row]:
    """Read one page of a query, in the order of its sortable ids.

    Args:
        session: Where to read.
        query: A select of `model`, not ordered.
        model: A table whose `id` sorts by time.
        limit: Rows a page, 1 to 200.
        cursor: `next_cursor` of the page before.
        oldest_first: The other direction.

    Raises:
        Malformed: The cursor is none of ours.
    """
    if cursor is not None:
        last = _open(cursor)
        query = query.where(model.id > last if oldest_first else model.id < last)
    order = model.id.asc() if oldest_first else model.id.desc()
    found = list(await session.exec(query.order_by(order).limit(min(limit, MOST) + 1)))
    rows = found[:limit]
    more = len(found) > limit
    return Page(rows, _seal(rows[-1].id) if more else None)  # pyright: ignore[reportAttributeAccessIssue]


def _seal(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def _open(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        opened = base64.urlsafe_b64decode(padded.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise Malformed("The cursor is not one of ours.", fields={"cursor": "Unknown."}) from error
    if not _ID.fullmatch(opened):
        raise Malformed("The cursor is not one of ours.", fields={"cursor": "Unknown."})
    return opened
