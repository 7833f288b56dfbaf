"""Golden machines are made in the background, with a stand-in for what warms a real one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from lebureau_app.engine import goldens as maker_module
from lebureau_app.engine import starting
from lebureau_app.engine.goldens import GoldenMaker
from lebureau_app.errors import GuestError
from lebureau_app.models import Desktop, Status
from lebureau_app.providers.base import Origin
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import channels, desktops, events, goldens, images, snapshot_state
from lebureau_app.services.desktops import NewDesktop
from lebureau_app.services.goldens import GoldenState
from tests.engine.conftest import Fleet

IMAGE = "fake"
PICTURE = b"what is on its screen"


async def warms(desktop_id: str, ref: str) -> AsyncGenerator[str | bytes, None]:
    yield "Booting"
    yield "The agent takes its first turn"
    yield PICTURE


async def fails(desktop_id: str, ref: str) -> AsyncGenerator[str | bytes, None]:
    yield "Booting"
    raise GuestError("The gateway did not start.")


async def never_ends(desktop_id: str, ref: str) -> AsyncGenerator[str | bytes, None]:
    yield "Booting"
    await asyncio.Event().wait()


@pytest.fixture
def make(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GoldenMaker]:
    """Makes a maker, for the image that the fake provider lists."""
    monkeypatch.setattr(images, "newest", _fake_image)
    monkeypatch.setattr(maker_module, "LOOK_EVERY", 0.01)

    def made(warmer: maker_module.Warmer = warms) -> GoldenMaker:
        return GoldenMaker(fleet.provider, warmer, "ssh-ed25519 AAAA test")

    return made


def state_of(maker: GoldenMaker, tier: str = "free") -> GoldenState:
    return next(state for state in maker.states() if state.tier == tier)


async def create(fleet: Fleet, tier: str = "free") -> Desktop:
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name=f"a-{tier}", tier=tier))
        return await fleet.until(
            made.id, lambda row: row.status == Status.RUNNING and row.task is None
        )


async def test_the_default_tiers_is_made_at_once(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    maker = make()
    await maker.once()
    assert [state.status for state in maker.states()] == ["ready", "waiting", "waiting"]
    assert state_of(maker).size == (await fleet.provider.goldens())[0].size
    assert fleet.provider.machines == {}
    assert (await create(fleet)).origin == Origin.GOLDEN


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes | None]]:
    """Every picture that a desktop has had; None is that it was forgotten."""
    seen: dict[str, list[bytes | None]] = {}
    keep, forget = snapshot_state.keep_picture, snapshot_state.forget_picture

    async def kept(owner_id: str, png: bytes) -> None:
        seen.setdefault(owner_id, []).append(png)
        await keep(owner_id, png)

    async def forgotten(owner_id: str) -> None:
        seen.setdefault(owner_id, []).append(None)
        await forget(owner_id)

    monkeypatch.setattr(snapshot_state, "keep_picture", kept)
    monkeypatch.setattr(snapshot_state, "forget_picture", forgotten)
    return seen


async def test_a_newborn_shows_the_golden_machines_screen_until_it_has_its_own(
    fleet: Fleet, make: Callable[..., GoldenMaker], pictures: dict[str, list[bytes | None]]
) -> None:
    await make().once()
    made = await create(fleet)
    assert pictures[made.id] == [PICTURE, None]


async def test_the_picture_is_there_before_anybody_is_told_of_it(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    await make().once()
    fleet.provider.behaviour = FakeBehaviour(never=frozenset({"start"}))
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name="one"))
        await fleet.until(made.id, lambda row: row.origin == Origin.GOLDEN)
        assert await channels.screenshot(fleet.caller, made.id, None) == PICTURE


async def test_one_that_does_not_take_its_identity_shows_it_no_more(
    fleet: Fleet, make: Callable[..., GoldenMaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    await make().once()
    monkeypatch.setattr(starting, "PATIENCE", 0.0)
    fleet.provider.behaviour = FakeBehaviour(never=frozenset({"run_in_guest", "read_guest_file"}))
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name="one"))
        await fleet.until(made.id, lambda row: "did not take its identity" in row.origin_note)
        assert await snapshot_state.picture_of(made.id) is None


async def test_one_that_had_to_be_booted_does_not(
    fleet: Fleet, make: Callable[..., GoldenMaker], pictures: dict[str, list[bytes | None]]
) -> None:
    await make().once()
    fleet.provider.behaviour = replace(fleet.provider.behaviour, resume_fails=True)
    made = await create(fleet)
    assert made.origin == Origin.BOOT
    assert pictures[made.id] == [PICTURE, None]
    assert await snapshot_state.picture_of(made.id) is None


async def test_pages_and_programs_follow_it(make: Callable[..., GoldenMaker]) -> None:
    seen = []
    async with events.bus.subscribe() as listener, asyncio.timeout(20):
        await make().once()
        while not seen or seen[-1]["status"] != "ready":
            told = await listener.get()
            assert told.type == "image.progress"
            seen.append(told.data["goldens"][0])
    assert [each["status"] for each in seen] == ["making", "making", "making", "making", "ready"]
    assert [each["progress"]["message"] for each in seen[:-1]] == [
        "Making the machine",
        "Booting",
        "The agent takes its first turn",
        "Keeping its memory",
    ]


async def test_another_tiers_is_made_when_it_is_used(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    maker = make()
    await maker.once()
    assert (await create(fleet, "pro")).origin == Origin.BOOT
    await maker.once()
    assert state_of(maker, "pro").status == "ready"
    assert {golden.memory >> 30 for golden in await fleet.provider.goldens()} == {4, 8}


async def test_it_waits_until_nothing_else_is_going_on(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    await desktops.create(fleet.caller, NewDesktop(name="busy"))
    maker = make()
    await maker.once()
    assert state_of(maker).status == "waiting"
    assert await fleet.provider.inspect_all() == []


@pytest.mark.parametrize("fleet", [FakeBehaviour(full=True)], indirect=True)
async def test_it_waits_for_room_and_says_so(make: Callable[..., GoldenMaker]) -> None:
    maker = make()
    await maker.once()
    state = state_of(maker)
    assert state.status == "waiting"
    assert state.progress
    assert "no room" in state.progress["message"]


async def test_a_failure_says_why_and_is_tried_again_later(
    fleet: Fleet, make: Callable[..., GoldenMaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make(fails)
    await maker.once()
    assert state_of(maker).status == "failed"
    assert state_of(maker).error == "The gateway did not start."
    assert fleet.provider.machines == {}
    maker._warmer = warms
    await maker.once()
    assert state_of(maker).status == "failed"
    now = time.monotonic()
    monkeypatch.setattr(maker_module.time, "monotonic", lambda: now + 61)
    await maker.once()
    assert state_of(maker).status == "ready"


async def test_a_new_image_gets_a_new_one(
    fleet: Fleet, make: Callable[..., GoldenMaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make()
    await maker.once()

    async def newer() -> str:
        return "newer"

    monkeypatch.setattr(images, "newest", newer)
    await maker.once()
    assert {golden.image for golden in await fleet.provider.goldens()} == {IMAGE, "newer"}
    assert goldens.of_image(IMAGE) == []
    assert goldens.of_image("newer")[0]["status"] == "ready"


async def test_what_a_killed_server_left_is_destroyed_and_made_anew(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    left = make()._spec(maker_module.tiers.tier("free"), IMAGE)
    await fleet.provider.start(left.desktop_id, await fleet.provider.create(left))
    async with events.bus.subscribe() as listener, asyncio.timeout(20):
        async with _running(make()) as maker:
            while not maker.states() or state_of(maker).status != "ready":
                await listener.get()
    assert fleet.provider.machines == {}


async def test_a_server_that_stops_leaves_none_behind(
    fleet: Fleet, make: Callable[..., GoldenMaker]
) -> None:
    async with events.bus.subscribe() as listener, asyncio.timeout(20):
        async with _running(make(never_ends)):
            while "Booting" not in str((await listener.get()).data):
                pass
            assert list(fleet.provider.machines) == ["golden-free"]
    assert fleet.provider.machines == {}


async def test_the_full_pass_leaves_it_alone(
    fleet: Fleet, make: Callable[..., GoldenMaker], caplog: pytest.LogCaptureFixture
) -> None:
    spec = make()._spec(maker_module.tiers.tier("free"), IMAGE)
    await fleet.provider.create(spec)
    await fleet.reconcile()
    assert list(fleet.provider.machines) == ["golden-free"]
    assert "golden-free" not in caplog.text


async def _fake_image() -> str:
    return IMAGE


class _running:
    """A maker at work for the length of the block."""

    def __init__(self, maker: GoldenMaker) -> None:
        self._maker = maker

    async def __aenter__(self) -> GoldenMaker:
        self._task = asyncio.create_task(self._maker.run())
        return self._maker

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
