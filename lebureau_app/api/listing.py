"""Lists as api.md has them."""

from collections.abc import Callable
from typing import Any, TypeVar

from lebureau_app.services.paging import Page

Row = TypeVar("Row")


def listing(page: Page[Any], shown: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A page of rows as JSON.

    Args:
        page: The rows.
        shown: How one of them is shown.
    """
    return {"items": [shown(row) for row in page.rows], "nextCursor": page.next_cursor}


def whole(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A list that fits on one page."""
    return {"items": items, "nextCursor": None}
