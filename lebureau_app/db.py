"""The database: one engine, two kinds of session, migrations.

`reading()` gives a session for queries, `writing()` one whose end is a commit. On SQLite a writing
transaction takes the write lock at its beginning (BEGIN IMMEDIATE), so that two writers wait for
each other instead of failing half-way. No network call belongs inside either.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from alembic import command
from lebureau_app.settings import get_settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "alembic"


_engine: AsyncEngine | None = None
_after_commit: list[Callable[[AsyncSession], None]] = []


def engine() -> AsyncEngine:
    """The engine of this process, made on first use."""
    global _engine
    if _engine is None:
        _engine = make_engine(get_settings().database)
    return _engine


def make_engine(url: str) -> AsyncEngine:
    """An engine for an async SQLAlchemy URL (`sqlite+aiosqlite` or `postgresql+asyncpg`)."""
    made = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if made.dialect.name == "sqlite":
        _prepare_sqlite(made)
    return made


def _prepare_sqlite(made: AsyncEngine) -> None:
    @event.listens_for(made.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=30000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


async def dispose() -> None:
    """Close every connection; the next use opens the database anew."""
    global _engine
    if _engine is not None:
        await _engine.dispose()
        _engine = None


def after_commit(hook: Callable[[AsyncSession], None]) -> None:
    """Have `hook` called with the session after each successful `writing()` block."""
    if hook not in _after_commit:
        _after_commit.append(hook)


@asynccontextmanager
async def reading() -> AsyncIterator[AsyncSession]:
    """A session for queries."""
    source = engine().execution_options(reads=True)
    async with AsyncSession(source, expire_on_commit=False) as session:
        yield session


@asynccontextmanager
async def writing() -> AsyncIterator[AsyncSession]:
    """A session that commits when the block ends, and rolls back when it raises."""
    async with AsyncSession(engine(), expire_on_commit=False) as session:
        async with session.begin():
            yield session
        for hook in _after_commit:
            hook(session)


async def migrate() -> None:
    """Bring the schema to the newest version, in one transaction."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with engine().begin() as connection:
        await connection.run_sync(upgrade)
