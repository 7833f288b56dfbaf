"""The composition root: pages, REST, proxies and engine become one application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import reflex as rx

from lebureau_app import db, frontend, pages
from lebureau_app.api.app import create_api
from lebureau_app.components.theme import LOOK
from lebureau_app.engine.engine import Engine
from lebureau_app.providers import make_provider
from lebureau_app.services import setup
from lebureau_app.settings import get_settings
from lebureau_app.state.guard import AuthGuard


@asynccontextmanager
async def engine_at_work() -> AsyncIterator[None]:
    """Bring the database up to date, then have the engine work while the server serves."""
    settings = get_settings()
    settings.make_folders()
    await db.migrate()
    await setup.create_admin()
    working = asyncio.create_task(Engine(make_provider(settings), settings).run(), name="engine")
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await db.dispose()


app = rx.App(api_transformer=create_api(frontend.script_hashes()), **LOOK)
# An empty list would switch the check of the event socket's origin off, "*" lets every site in.
app.sio.eio.cors_allowed_origins = (  # pyright: ignore[reportOptionalMemberAccess]
    lambda origin, environ: origin.split("://", 1)[-1] == environ.get("HTTP_HOST")
)
app.add_middleware(AuthGuard())
app.register_lifespan_task(engine_at_work)
pages.register(app)
