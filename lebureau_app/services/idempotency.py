"""Creating calls that may be sent twice: the first answer is kept for 24 hours and given again.

A call that fails leaves nothing behind. One that never ended, because its process died, is
forgotten after a minute; while its process lives, the same key is refused as still running.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from lebureau_app import db
from lebureau_app.errors import IdempotencyConflict, IdempotencyInProgress, Malformed
from lebureau_app.models import IdempotentAnswer, utc_now
from lebureau_app.services.access import Caller

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=1)

_LONGEST = 255
_running: set[tuple[str, str, str]] = set()


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON object, with the names of those values that are shown only once."""

    status: int
    body: dict[str, Any]
    secrets: tuple[str, ...] = ()

    def without_secrets(self) -> dict[str, Any]:
        """The body as it may be shown again."""
        return {name: value for name, value in self.body.items() if name not in self.secrets}


async def once(
    caller: Caller, route: str, key: str | None, body: bytes, make: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Make something once for a key.

    Args:
        caller: Who asks; keys of others are others.
        route: Method and path.
        key: The `Idempotency-Key`; without one it is simply made.
        body: The request's body in one form.
        make: Makes it.

    Returns:
        What `make` answered, now or the first time.

    Raises:
        Malformed: The key is empty, too long or not printable.
        IdempotencyConflict: The key came with another body before.
        IdempotencyInProgress: The first call with it has not been answered yet.
    """
    if key is None:
        return await make()
    if not 1 <= len(key) <= _LONGEST or not key.isprintable():
        raise Malformed("The Idempotency-Key has 1 to 255 printable characters.")
    place = (caller.key, route, key)
    body_hash = hashlib.sha256(body).hexdigest()
    earlier = await _begin(place, body_hash)
    if earlier is not None:
        return _again(earlier, body_hash)
    _running.add(place)
    try:
        answer = await make()
        await _finish(place, answer)
    except BaseException:
        await _forget(place)
        raise
    finally:
        _running.discard(place)
    return answer


async def forget_old() -> None:
    """Remove answers that nobody can ask for any more."""
    async with db.writing() as session:
        await session.exec(
            delete(IdempotentAnswer).where(col(IdempotentAnswer.created_at) < utc_now() - KEPT)
        )


async def _begin(place: tuple[str, str, str], body_hash: str) -> IdempotentAnswer | None:
    """Claim the key, or find who has it."""
    try:
        async with db.writing() as session:
            earlier = await session.get(IdempotentAnswer, place)
            if earlier is not None and not _is_over(place, earlier):
                return earlier
            if earlier is not None:
                await session.delete(earlier)
                await session.flush()
            caller, route, key = place
            session.add(IdempotentAnswer(caller=caller, route=route, key=key, body_hash=body_hash))
    except IntegrityError as error:
        raise IdempotencyInProgress from error
    return None


def _is_over(place: tuple[str, str, str], row: IdempotentAnswer) -> bool:
    age = utc_now() - row.created_at
    return age > KEPT or (row.status == 0 and place not in _running and age > ABANDONED)


def _again(row: IdempotentAnswer, body_hash: str) -> Answer:
    if row.body_hash != body_hash:
        raise IdempotencyConflict
    if row.status == 0:
        raise IdempotencyInProgress
    return Answer(row.status, row.answer)


async def _finish(place: tuple[str, str, str], answer: Answer) -> None:
    async with db.writing() as session:
        row = await session.get_one(IdempotentAnswer, place)
        row.status, row.answer = answer.status, answer.without_secrets()
        session.add(row)


async def _forget(place: tuple[str, str, str]) -> None:
    async with db.writing() as session:
        row = await session.get(IdempotentAnswer, place)
        if row is not None:
            await session.delete(row)
