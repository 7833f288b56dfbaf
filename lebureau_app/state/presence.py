"""Which pages are open: so that what runs for a page ends with it."""

from collections.abc import Callable

_is_open: Callable[[str], bool] = lambda sid: False  # noqa: E731


def provide(is_open: Callable[[str], bool]) -> None:
    """Give this module the way to ask; called once when the pages are registered."""
    global _is_open
    _is_open = is_open


def is_open(sid: str) -> bool:
    """Whether the page with this socket id is still connected."""
    return _is_open(sid)
