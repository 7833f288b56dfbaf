"""The engine on the fake provider, without a server around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from lebureau_app import db
from lebureau_app.engine import operations as worker_module
from lebureau_app.engine.identity import Identities
from lebureau_app.engine.links import Links
from lebureau_app.engine.operations import Operations
from lebureau_app.engine.reconcile import Reconciler
from lebureau_app.engine.simulated_link import SimulatedLink
from lebureau_app.models import Desktop, Membership, Role, User, Workspace
from lebureau_app.providers.fake import FakeBehaviour, FakeProvider
from lebureau_app.services import desktop_state, events, goldens, hosts, images, live
from lebureau_app.services.access import Caller
from lebureau_app.settings import Settings, get_settings


@dataclass
class Fleet:
    """The engine's parts, and a caller who owns a workspace."""

    provider: FakeProvider
    links: Links
    settings: Settings
    caller: Caller

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have the journal worked on for the length of the block."""
        worker = Operations(
            self.provider,
            self.links,
            Identities(self.provider, self.settings),
            "ssh-ed25519 AAAA test",
            self.settings,
        )
        self.links.on_wake(worker.wake)
        task = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def reconcile(self) -> None:
        await Reconciler(self.provider, self.links).once()

    async def until(self, desktop_id: str, holds: Callable[[Desktop], bool]) -> Desktop:
        """Wait, by events, until something holds of a desktop."""
        async with events.bus.subscribe() as listener, asyncio.timeout(20):
            while True:
                desktop = await desktop_state.load(desktop_id)
                assert desktop
                if holds(desktop):
                    return desktop
                await listener.get()


@pytest.fixture
async def fleet(
    request: pytest.FixtureRequest, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    """A fleet; `@pytest.mark.parametrize("fleet", [FakeBehaviour(…)], indirect=True)` spoils it."""
    behaviour = getattr(request, "param", FakeBehaviour())
    monkeypatch.setattr(worker_module, "POLL", 0.01)
    monkeypatch.setattr(images, "newest", _an_image)
    provider = FakeProvider(behaviour)
    links = Links(SimulatedLink)
    hosts.provide(provider)
    live.provide(links)
    goldens.provide(None)
    async with db.writing() as session:
        user = User(email="owner@example.com", password_hash="-")
        workspace = Workspace(name="Office")
        session.add_all([user, workspace])
        await session.flush()
        session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=Role.OWNER))
    caller = Caller(user.id, user.email, {workspace.id: Role.OWNER})
    yield Fleet(provider, links, get_settings(), caller)
    await links.close_all()


async def _an_image() -> str:
    return "standard-trixie-000000000000"
