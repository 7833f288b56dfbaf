"""Expressions over vars. To a type checker a var of a state is its value; on a page it is not yet."""

from typing import Any


def count(items: Any) -> Any:
    """How many items a list has."""
    return items.length()


def contains(items: Any, item: Any) -> Any:
    """Whether a list has an item."""
    return items.contains(item)


def negated(value: Any) -> Any:
    """The opposite of a boolean."""
    return ~value


def text_of(number: Any) -> Any:
    """A number as text."""
    return number.to_string()
