"""Migrations make what the models say, and keep what was there."""

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, bindparam, text
from sqlmodel import SQLModel

import lebureau_app.models  # noqa: F401
from alembic import command
from lebureau_app import db
from lebureau_app.models import Desktop, Workspace, no_storage, utc_now
from lebureau_app.models.base import UtcDateTime

WORKSPACE = "INSERT INTO workspace (id, name, created_at) VALUES ('ws_1', 'Office', :now)"
DESKTOP = """
INSERT INTO desktop (id, workspace_id, name, tier, status, desired_status, readiness, labels,
    provider, ref, boot, image, agent, vcpus, memory, disk, host_key, secrets, activity,
    needs_attention, input_tokens, output_tokens, cost, ran_seconds, created_by, created_at)
VALUES ('dsk_1', 'ws_1', 'old', 'free', 'running', 'running', '{}', '{}',
    'fake', '', '', '', 'openclaw', 2, 1, 1, '', '', '',
    false, 0, 0, 0, 0, '', :now)
"""


def config(connection: Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(db.MIGRATIONS))
    made.attributes["connection"] = connection
    return made


async def test_the_newest_schema_is_that_of_the_models(any_database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, SQLModel.metadata)

    async with db.engine().begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_the_first_release_has_written_is_kept(any_database):
    def back_and_forth(connection):
        command.downgrade(config(connection), "0001")
        now = bindparam("now", utc_now(), UtcDateTime())
        for statement in (WORKSPACE, DESKTOP):
            connection.execute(text(statement).bindparams(now))
        command.upgrade(config(connection), "head")

    async with db.engine().begin() as connection:
        await connection.run_sync(back_and_forth)
    async with db.reading() as session:
        desktop = await session.get_one(Desktop, "dsk_1")
        workspace = await session.get_one(Workspace, "ws_1")
    assert (desktop.name, desktop.origin, desktop.storage) == ("old", "boot", no_storage())
    assert desktop.hibernate_after is None
    assert workspace.hibernate_after == 3600
