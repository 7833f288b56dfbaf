"""Tiers as data: what a desktop may use, and what it costs a month."""

import os
from dataclasses import dataclass, replace
from decimal import Decimal

from lebureau_app.errors import Invalid

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Tier:
    """A size and its price. Memory and disk in bytes, price in EUR a month."""

    id: str
    name: str
    vcpus: int
    memory: int
    disk: int
    price: Decimal


_DEFAULTS = (
    Tier("free", "Free", 2, 4 * GIB, 20 * GIB, Decimal("0.00")),
    Tier("pro", "Pro", 4, 8 * GIB, 40 * GIB, Decimal("49.00")),
    Tier("max", "Max", 4, 16 * GIB, 80 * GIB, Decimal("149.00")),
)


def tiers() -> list[Tier]:
    """All tiers, with what `LEBUREAU_TIER_<ID>_{VCPUS,MEMORY,DISK}` override."""
    return [_overridden(tier) for tier in _DEFAULTS]


def tier(tier_id: str) -> Tier:
    """One tier.

    Raises:
        Invalid: There is no such tier.
    """
    for each in tiers():
        if each.id == tier_id:
            return each
    known = ", ".join(each.id for each in _DEFAULTS)
    raise Invalid("There is no such tier.", fields={"tier": f"One of: {known}."})


def _overridden(tier: Tier) -> Tier:
    changes = {}
    for size in ("vcpus", "memory", "disk"):
        value = os.environ.get(f"LEBUREAU_TIER_{tier.id}_{size}".upper())
        if value:
            changes[size] = int(value)
    return replace(tier, **changes)
