"""What all tests share: settings of their own, a migrated database, people, and a client."""

import asyncio
import base64
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from lebureau_app import db, frontend
from lebureau_app.api import create_api
from lebureau_app.errors import ChannelNotReady
from lebureau_app.guest.door import Door
from lebureau_app.guest.ssh import Completed
from lebureau_app.models import (
    Desktop,
    Membership,
    Picture,
    Role,
    Snapshot,
    SnapshotStatus,
    Status,
    User,
    Workspace,
)
from lebureau_app.providers.fake import FakeProvider
from lebureau_app.services import (
    activity,
    api_keys,
    hosts,
    images,
    live,
    model_providers,
    passwords,
    rate_limits,
    vault,
)
from lebureau_app.services.access import Caller
from lebureau_app.settings import Settings, get_settings
from tests.support.building import CACHE, Build, building, is_built
from tests.support.golden import make_golden
from tests.support.server import PASSWORD, Server, servers

ORIGIN = "http://bureau.test"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

_CACHES = (
    get_settings,
    vault._master_key,
    vault._key_id,
    model_providers._trust,
)


passwords._context.update(
    argon2__time_cost=1, argon2__memory_cost=512, argon2__parallelism=1
)  # cheap: tests sign in often


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a home of the test's own and the fake provider."""
    for name in [name for name in os.environ if name.startswith("LEBUREAU_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LEBUREAU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEBUREAU_PROVIDER", "fake")
    _forget()
    made = get_settings()
    made.make_folders()
    yield made
    _forget()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest schema, to be copied."""
    home = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEBUREAU_HOME", str(home))
        get_settings.cache_clear()
        asyncio.run(_migrate())
        get_settings.cache_clear()
    return home / "lebureau.db"


@pytest.fixture
async def database(settings: Settings, migrated: Path) -> AsyncIterator[None]:
    """An empty database of the test's own (SQLite)."""
    shutil.copy(migrated, settings.home / "lebureau.db")
    yield
    await db.dispose()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, on a Unix socket; its URL without a database."""
    initdb = shutil.which("initdb") or _newest("/usr/lib/postgresql/*/bin/initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(initdb).resolve().parent
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "/tmp/lebureau-pg.XXXXXX"], text=True).strip()
    )
    as_user = _become_ordinary(folder)
    data = folder / "data"
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    subprocess.run(
        [*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "lebureau", "-N"], **run
    )
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c dynamic_shared_memory_type=mmap"
    control = [*as_user, programs / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **run)
    yield f"postgresql+asyncpg://lebureau@/{{}}?host={folder}"
    subprocess.run([*control, "-m", "immediate", "stop"], **run)
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_database(
    request: pytest.FixtureRequest,
    settings: Settings,
    migrated: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[str]:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        shutil.copy(migrated, settings.home / "lebureau.db")
    else:
        url: str = request.getfixturevalue("postgresql")
        name = f"test_{abs(hash(request.node.nodeid))}"
        admin = create_async_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
        async with admin.connect() as connection:
            await connection.exec_driver_sql(f"CREATE DATABASE {name}")
        await admin.dispose()
        monkeypatch.setenv("LEBUREAU_DATABASE_URL", url.format(name))
        get_settings.cache_clear()
        await db.migrate()
    yield request.param
    await db.dispose()


@dataclass
class FakeLive:
    """Desktops that are up, as far as the services see."""

    wakes: int = 0
    changed: list[str] = field(default_factory=list)
    commands: list[tuple[str, str, float]] = field(default_factory=list)
    doors: dict[str, Door] = field(default_factory=dict)

    def wake(self) -> None:
        self.wakes += 1

    async def door(self, desktop_id: str, channel: str) -> Door:
        if channel not in self.doors:
            raise ChannelNotReady
        return self.doors[channel]

    async def run(self, desktop_id: str, command: str, timeout: float) -> Completed:
        self.commands.append((desktop_id, command, timeout))
        return Completed(0, f"ran {command}", "")

    async def screenshot(self, desktop_id: str, width: int | None) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + str(width).encode()

    def keys_changed(self, workspace_id: str) -> None:
        self.changed.append(workspace_id)


@pytest.fixture
def living(settings: Settings) -> FakeLive:
    """Fake live desktops and the fake provider."""
    fake = FakeLive()
    live.provide(fake)
    hosts.provide(FakeProvider())
    rate_limits.reset()
    images._builder = None
    activity.forget()
    return fake


@dataclass
class People:
    """Who there is: three members of one workspace, a stranger with another, each with an API key.

    Attributes:
        callers: `owner`, `operator`, `viewer` and `stranger`.
        keys: Their API keys with every scope.
    """

    workspace_id: str
    foreign_workspace_id: str
    callers: dict[str, Caller] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Caller:
        return self.callers[name]

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}


@pytest.fixture
async def people(database: None, living: FakeLive) -> People:
    """The people of most tests."""
    return await make_people()


async def make_people() -> People:
    office, elsewhere = Workspace(name="Office"), Workspace(name="Elsewhere")
    found = People(office.id, elsewhere.id)
    async with db.writing() as session:
        session.add_all([office, elsewhere])
        for name in ("owner", "operator", "viewer", "stranger"):
            user = User(email=f"{name}@example.com", password_hash=_password_hash())
            workspace = elsewhere if name == "stranger" else office
            role = Role.OWNER if name == "stranger" else Role(name)
            session.add(user)
            await session.flush()
            session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=role))
            found.callers[name] = Caller(user.id, user.email, {workspace.id: role})
    for name, caller in found.callers.items():
        _, found.keys[name] = await api_keys.create(caller, "test")
    return found


@pytest.fixture
async def desktop(people: People) -> Desktop:
    """A running desktop of the office."""
    return await make_desktop(people.workspace_id)


async def make_desktop(workspace_id: str, name: str = "dev-agent-01", **values: object) -> Desktop:
    made = Desktop(
        workspace_id=workspace_id,
        name=name,
        tier="free",
        status=Status.RUNNING,
        provider="fake",
        ref="fake-1",
        vcpus=2,
        memory=4 << 30,
        disk=20 << 30,
    )
    for attribute, value in values.items():
        setattr(made, attribute, value)
    async with db.writing() as session:
        session.add(made)
    return made


async def make_snapshot(desktop: Desktop, name: str = "Before", **values: object) -> Snapshot:
    """A snapshot that is ready, with its picture."""
    made = Snapshot(
        workspace_id=desktop.workspace_id,
        desktop_id=desktop.id,
        name=name,
        status=SnapshotStatus.READY,
        memory=True,
        pictured=True,
        tier=desktop.tier,
        vcpus=desktop.vcpus,
        memory_size=desktop.memory,
        disk_size=desktop.disk,
    )
    for attribute, value in values.items():
        setattr(made, attribute, value)
    async with db.writing() as session:
        session.add_all([made, Picture(owner_id=made.id, png=PNG)])
    return made


async def set_desktop(desktop_id: str, **values: object) -> None:
    """Have a desktop be as a test needs it."""
    async with db.writing() as session:
        desktop = await session.get_one(Desktop, desktop_id)
        for attribute, value in values.items():
            setattr(desktop, attribute, value)
        session.add(desktop)


@pytest.fixture(scope="session")
def api() -> FastAPI:
    """The API; it keeps nothing of a test but figures."""
    return create_api()


@pytest.fixture
async def client(people: People, api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, who nobody is yet."""
    transport = httpx.ASGITransport(api, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as made:
        yield made


@pytest.fixture
def as_(client: httpx.AsyncClient, people: People) -> Callable[[str], httpx.AsyncClient]:
    """The client, with somebody's API key."""

    def become(name: str) -> httpx.AsyncClient:
        client.headers.pop("Authorization", None)
        if name != "nobody":
            client.headers.update(people.bearer(name))
        return client

    return become


async def _migrate() -> None:
    await db.migrate()
    await db.dispose()


def _forget() -> None:
    for cached in _CACHES:
        cached.cache_clear()


_hash: list[str] = []


def _password_hash() -> str:
    if not _hash:
        _hash.append(passwords._context.hash(PASSWORD))
    return _hash[0]


def _become_ordinary(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: do it as somebody else then."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _newest(pattern: str) -> str | None:
    found = sorted(Path("/").glob(pattern.lstrip("/")))
    return str(found[-1]) if found else None


@pytest.fixture(scope="session", autouse=True)
def front_end_build(request: pytest.FixtureRequest) -> Iterator[Build | None]:
    """The build of the front end, from the first test on, where one will need it."""
    if frontend.is_current() or not _wants(request, "front_end"):
        yield None
        return
    with building(sys.executable, "-m", "lebureau_app", "build") as build:
        yield build


@pytest.fixture(scope="session")
def front_end(front_end_build: Build | None) -> None:
    """The front end as its sources are."""
    if front_end_build:
        front_end_build.wait()


@pytest.fixture(scope="session", autouse=True)
def image_build(request: pytest.FixtureRequest) -> Iterator[Build | None]:
    """The build of the golden image, from the first test on, where one will need it and it lacks.

    Of several test processes one builds, while the others' builds wait for it and find it done.
    """
    if is_built(CACHE) or not _wants(request, "golden_images"):
        yield None
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    in_turn = ("flock", "--no-fork", CACHE.parent / "tests.lock")
    with building(*in_turn, sys.executable, "-m", "image.build", "--output", CACHE) as build:
        yield build


@pytest.fixture(scope="session", autouse=True)
def golden_making(
    request: pytest.FixtureRequest, front_end_build: Build | None, image_build: Build | None
) -> Iterator[Future[None] | None]:
    """The making of the golden machine, as soon as the image is there, where one needs it."""
    if not _wants(request, "golden_machines"):
        yield None
        return
    unwanted = Event()
    builds = [build for build in (front_end_build, image_build) if build]

    def make() -> None:
        for build in builds:
            build.wait()
        make_golden(CACHE, unwanted)

    with ThreadPoolExecutor(1) as aside:
        yield aside.submit(make)
        unwanted.set()
        for build in builds:
            build.end()


@pytest.fixture(scope="module")
def make_server(front_end: None) -> Iterator[Callable[..., Server]]:
    """Makes servers, and takes them away with their machines after the last test of the module."""
    with servers() as make:
        yield make


@pytest.fixture(scope="session")
def golden_images(image_build: Build | None) -> Path:
    """A folder with the golden image, built once for as long as its recipe stays the same."""
    if image_build:
        image_build.wait()
    return CACHE


@pytest.fixture(scope="session")
def golden_machines(golden_images: Path, golden_making: Future[None] | None) -> Path:
    """The same folder of images, once new desktops resume a golden machine."""
    assert golden_making, "it is made for whoever needs it"
    golden_making.result()
    return golden_images


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is tested while the golden image is built, go on with what needs only the
    image while the golden machine is made, and end with what resumes it."""
    items.sort(key=lambda item: _needs(item, "golden_images") + _needs(item, "golden_machines"))


def _wants(request: pytest.FixtureRequest, fixture: str) -> bool:
    """Whether a test of this session needs a fixture."""
    return any(_needs(item, fixture) for item in request.session.items)


def _needs(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())
