"""Closes what is open on sessions and API keys that ended without this process doing it."""

import asyncio
import logging

from lebureau_app.services import sessions

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds."""


async def run() -> None:
    """Look every two seconds until cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        try:
            await sessions.close_ended()
        except Exception:
            log.exception("live sockets could not be checked")
