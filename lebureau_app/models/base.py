"""What all tables share: ids, times and column types."""

from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sqlalchemy import JSON, DateTime, TypeDecorator
from sqlalchemy.engine import Dialect
from ulid import ULID

_last = 0
_making = Lock()


def new_id(prefix: str) -> str:
    """A new id: `prefix_` and a sortable random part (ULID, Crockford base 32, lower case).

    Ids of one process sort in the order of their making, also within a millisecond.

    Args:
        prefix: One of the prefixes of api.md, without the underscore.
    """
    global _last
    with _making:
        _last = max(int(ULID()), _last + 1)
        return f"{prefix}_{str(ULID.from_int(_last)).lower()}"


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC, also where the database keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give back an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


__all__ = ["JSON", "UtcDateTime", "new_id", "utc_now"]
