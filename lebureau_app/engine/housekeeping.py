"""Forgets what nobody can ask for any more."""

import asyncio
import logging

from lebureau_app.services import events, idempotency, sessions, tickets

log = logging.getLogger(__name__)

EVERY = 600.0


async def run() -> None:
    """Tidy up every ten minutes until cancelled."""
    while True:
        try:
            await events.forget_old()
            await tickets.forget_old()
            await sessions.forget_old()
            await idempotency.forget_old()
        except Exception:
            log.exception("housekeeping failed")
        await asyncio.sleep(EVERY)
