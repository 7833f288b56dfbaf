"""Runs migrations: inside the server's own transaction, or from the alembic command."""

import asyncio

from sqlalchemy import Connection
from sqlmodel import SQLModel

import lebureau_app.models  # noqa: F401
from alembic import context
from lebureau_app import db


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_from_command() -> None:
    async with db.engine().begin() as connection:
        await connection.run_sync(run)
    await db.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_from_command())
