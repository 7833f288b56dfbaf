"""Whether a desktop can be created: the database, the provider, the golden image."""

import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from lebureau_app import db
from lebureau_app.errors import LeBureauError
from lebureau_app.models import User
from lebureau_app.services import hosts, images

log = logging.getLogger(__name__)


async def missing() -> dict[str, str]:
    """What is missing, each with a sentence for a person; empty when all is there."""
    checks = {"database": _database, "provider": _provider, "image": _image}
    found = {name: await check() for name, check in checks.items()}
    return {name: sentence for name, sentence in found.items() if sentence}


async def _database() -> str | None:
    try:
        async with db.reading() as session:
            await session.exec(select(User.id).limit(1))
    except (SQLAlchemyError, OSError):
        log.exception("the database does not answer")
        return "The database does not answer."
    return None


async def _provider() -> str | None:
    try:
        capacity = await hosts.provider().capacity()
    except LeBureauError as error:
        return error.message
    if not any(host.online for host in capacity.hosts):
        return "The provider has no host that is online."
    return None


async def _image() -> str | None:
    if await images.newest():
        return None
    building = images.under_way()
    if building is None:
        return "There is no golden image, and none is being built."
    return building.error or f"The golden image is being built: {building.message}"
