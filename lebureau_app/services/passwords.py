"""Passwords: argon2 by passlib, in a thread, one at a time's worth of memory each."""

import asyncio
from functools import lru_cache

from passlib.context import CryptContext

from lebureau_app.errors import Invalid

SHORTEST = 10
LONGEST = 1024

_context = CryptContext(schemes=["argon2"], deprecated="auto")


async def hash_password(password: str) -> str:
    """The form in which a password is stored.

    Raises:
        Invalid: Shorter than 10 or longer than 1024 characters.
    """
    check_length(password)
    return await asyncio.to_thread(_context.hash, password)


async def verify(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one, in the same time whether there is one or not.

    Args:
        password: What was typed.
        stored: The stored hash, or None for an account that does not exist.
    """
    if len(password) > LONGEST:
        return False
    return await asyncio.to_thread(_verify, password, stored)


def check_length(password: str, field: str = "password") -> None:
    """Refuse a password that is too short or too long.

    Args:
        password: What was chosen.
        field: The JSON field that the error names.

    Raises:
        Invalid: It is.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(
            "This password cannot be used.",
            hint="A sentence that only you would write is easy to remember.",
            fields={field: f"At least {SHORTEST} characters, at most {LONGEST}."},
        )


def _verify(password: str, stored: str | None) -> bool:
    matches = _context.verify(password, stored or _nobody())
    return matches and stored is not None


@lru_cache
def _nobody() -> str:
    return _context.hash("the password of an account that does not exist")
