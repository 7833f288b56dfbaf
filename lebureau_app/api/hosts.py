"""Tiers, and the hosts that carry them."""

from typing import Any

from fastapi import APIRouter

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import Reader
from lebureau_app.api.listing import whole
from lebureau_app.api.shapes import shows
from lebureau_app.services import hosts, present, tiers

router = APIRouter(prefix="/api", tags=["hosts"])


@router.get("/tiers", responses=shows(shapes.Listing[shapes.Tier]))
async def list_tiers(caller: Reader) -> dict[str, Any]:
    """The tiers, and whether a host can carry one more of each."""
    return whole([present.tier(tier, await hosts.why_not(tier)) for tier in tiers.tiers()])


@router.get("/hosts", responses=shows(shapes.Listing[shapes.Host]))
async def list_hosts(caller: Reader) -> dict[str, Any]:
    """The hosts, and what they have left."""
    return whole([present.host(host) for host in await hosts.list_hosts(caller)])
