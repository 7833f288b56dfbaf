"""The order in which a golden machine is used and cleaned; its parts are tested by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lebureau_app.errors import GuestError
from lebureau_app.guest import warm as warming
from lebureau_app.guest.runs import RunEvent, RunFailed, RunFinished
from lebureau_app.guest.screen import Frame, png
from lebureau_app.providers.base import Endpoint

SCREEN, TERMINAL = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)
BLANK = Frame(2, 1, bytes(6))
DRAWN = Frame(2, 1, bytes(range(6)))
OTHER = Frame(2, 1, bytes(range(1, 7)))


@dataclass
class Guest:
    """What was done with a machine, and how it answers."""

    did: list[str] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=lambda: [BLANK, BLANK, DRAWN, OTHER, OTHER])
    ticks: list[tuple[int, int]] = field(
        default_factory=lambda: [(0, 0), (9, 10), (9, 1000), (10, 1000), (20, 1010), (20, 2000)]
    )
    starting: int = 2
    fails: bool = False
    unseeded: str = ""

    async def apply(self, connection: object, document: dict[str, Any]) -> None:
        self.documents.append(document)
        self.did.append("hand over " + ",".join(document["agent"]["config"]["models"]["providers"]))

    async def connect(self, connection: object, *, token: str, device: object) -> "Agent":
        if self.starting:
            self.starting -= 1
            raise GuestError("not yet")
        assert token == self.documents[-1]["agent"]["keys"]["gateway"]["token"]
        return Agent(self)

    async def call(self, connection: object, command: str) -> str:
        self.did.append("look" if command == warming._UNSEEDED else command)
        if command.startswith("head"):
            busy, total = self.ticks.pop(0)
            return f"cpu {busy} 0 0 {total - busy} 0 0 0 0 0 0\n"
        return self.unseeded

    async def run(self, connection: object, command: str, timeout: float) -> None:
        self.did.append({warming._FORGET: "clean", warming._COLLECT: "collect"}[command])

    async def grab(self, door: Any) -> Frame:
        assert door.secret == self.documents[-1]["door"]
        return self.frames.pop(0) if len(self.frames) > 1 else self.frames[0]

    async def probe(self, door: object, timeout: float) -> None:
        self.did.append("terminal")


class Agent:
    """A connection to the guest's OpenClaw."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._run_id = ""

    async def __aenter__(self) -> "Agent":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def model_provider(self) -> str:
        return self._guest.did[-1].removeprefix("hand over ")

    async def send(self, session: str, text: str, run_id: str) -> None:
        self._guest.did.append(text)
        self._guest.conversations.append(session)
        self._run_id = run_id

    async def events(self) -> AsyncIterator[RunEvent]:
        yield RunFailed("of somebody else", "no")
        yield RunFailed(self._run_id, "No.") if self._guest.fails else RunFinished(self._run_id, "")

    async def forget_sessions(self) -> None:
        self._guest.did.append("forget")


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest()
    monkeypatch.setattr(warming.inject, "apply", made.apply)
    monkeypatch.setattr(warming.OpenClaw, "connect", made.connect)
    monkeypatch.setattr(warming.ssh, "call", made.call)
    monkeypatch.setattr(warming.ssh, "run", made.run)
    monkeypatch.setattr(warming.screens, "grab", made.grab)
    monkeypatch.setattr(warming, "probe_terminal", made.probe)
    monkeypatch.setattr(warming, "_ASK_AGAIN", 0)
    monkeypatch.setattr(warming, "_LOOK_SECONDS", 0)

    @asynccontextmanager
    async def model(connection: object) -> AsyncIterator[None]:
        made.did.append("model on")
        yield
        made.did.append("model off")

    monkeypatch.setattr(warming, "_null_model", model)
    return made


async def use(guest: Guest) -> list[str | bytes]:
    async with asyncio.timeout(10):
        connection: Any = object()
        told = warming.warm(connection, screen=SCREEN, terminal=TERMINAL, ca="PEM")
        return [said async for said in told]


async def test_everything_is_used_once_and_forgotten(guest: Guest):
    said = await use(guest)
    assert said[0] == "Starting OpenClaw"
    assert said[-1] == "Waiting until the machine is idle"
    assert [each for each in said if isinstance(each, bytes)] == [png(OTHER)]
    assert guest.did == [
        "model on",
        *("hand over openai-compatible", "Hello.", warming.null_model.CALL, "Hello."),
        *("terminal", "forget", "hand over ", "clean", "look", "model off"),
        *[*["head -1 /proc/stat"] * 3, "collect", *["head -1 /proc/stat"] * 3],
        warming._HOLD,
    ]
    assert len(set(guest.conversations)) == 1


async def test_its_secrets_are_its_own_and_its_last_keys_are_none(guest: Guest):
    await use(guest)
    first, last = guest.documents[0], guest.documents[-1]
    assert first["ca"] == "PEM"
    assert last["door"] == first["door"]
    assert set(map(str, last["agent"]["keys"]["providers"].values())) == {
        "{'apiKey': '__OPENCLAW_REDACTED__'}"
    }
    guest.starting, guest.frames, guest.ticks = 0, [DRAWN], [(0, 0), (0, 1)] * 2
    await use(guest)
    assert guest.documents[-1]["door"] != first["door"]
    assert guest.documents[-1]["agent"]["keys"]["gateway"] != first["agent"]["keys"]["gateway"]


async def test_an_agent_that_does_not_answer_is_not_kept(guest: Guest):
    guest.fails = True
    with pytest.raises(GuestError, match=r"did not answer: No\."):
        await use(guest)
    assert len(set(guest.conversations)) == len(guest.conversations) > 1


async def test_a_process_that_cannot_be_reseeded_is_not_kept(guest: Guest):
    guest.unseeded = "node server.js "
    with pytest.raises(GuestError, match=r"random numbers of node server\.js\."):
        await use(guest)


async def test_a_desktop_that_is_never_drawn_is_not_kept(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(warming, "_DRAWN_SECONDS", 0)
    guest.frames = [BLANK]
    with pytest.raises(GuestError, match="was not drawn"):
        await use(guest)


async def test_one_that_is_never_idle_is_kept_all_the_same(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(warming, "_IDLE_SECONDS", 0)
    guest.ticks = [(0, 0)] * 2
    assert await use(guest)


async def test_one_that_gets_no_quieter_is_not_waited_for(guest: Guest):
    busy = [0, 90, 130, 140, 150, 159]
    guest.ticks = [(ticks, 100 * look) for look, ticks in enumerate(busy)] + [(0, 0), (0, 100)]
    assert await use(guest)
    assert guest.ticks == []


async def test_one_whose_clock_stood_still_is_looked_at_again(guest: Guest):
    guest.ticks = [(5, 10), (5, 10), (5, 110), (0, 0), (0, 100)]
    assert await use(guest)
    assert guest.ticks == []
