"""The event stream over a real connection: what happens, resuming, resync, the end."""

import asyncio
import contextlib
import json

import httpx
import pytest

from lebureau_app import db
from lebureau_app.api import sse
from lebureau_app.gateway.live import CloseCode, live_sockets
from lebureau_app.models import Event
from lebureau_app.services import events
from tests.gateway.servers import served


@pytest.fixture
async def stream(api, people):
    """Opens event streams of a real server: `async with stream("owner") as frames`."""

    @contextlib.asynccontextmanager
    async def open_stream(name, query="", **headers):
        asked = {**people.bearer(name), **headers}
        async with client.stream("GET", f"/api/events{query}", headers=asked) as answer:
            assert answer.status_code == 200, await answer.aread()
            frames = _frames(answer)
            async with asyncio.timeout(20):
                if answer.headers["content-type"].startswith("text/event-stream"):
                    assert "comment" in await anext(frames)
                yield frames

    async with served(api) as url:
        base = url.replace("ws://", "http://")
        async with httpx.AsyncClient(base_url=base, timeout=20) as client:
            yield open_stream


async def _frames(answer):
    frame = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            frame["comment"] = line[1:].strip()
        elif line:
            name, _, value = line.partition(": ")
            frame[name] = value
        else:
            yield frame
            frame = {}


async def happen(workspace_id, number):
    async with db.writing() as session:
        events.emit(session, "desktop.updated", {"number": number}, workspace_id=workspace_id)


def number(frame):
    return json.loads(frame["data"])["number"]


async def test_members_hear_their_own_workspace_only(stream, people):
    async with stream("viewer") as frames:
        await happen(people.foreign_workspace_id, 1)
        await happen(people.workspace_id, 2)
        await happen(None, 3)
        first, second = await anext(frames), await anext(frames)
    assert (first["event"], number(first), number(second)) == ("desktop.updated", 2, 3)
    assert int(second["id"]) > int(first["id"])


async def test_one_workspace_can_be_asked_for(stream, people):
    async with stream("owner", f"?workspaceId={people.workspace_id}") as frames:
        await happen(people.workspace_id, 1)
        assert number(await anext(frames)) == 1


async def test_another_workspace_is_unknown(as_, people):
    path = f"/api/events?workspaceId={people.foreign_workspace_id}"
    assert (await as_("owner").get(path)).status_code == 404


async def test_a_stream_resumes_without_losing_or_doubling(stream, people):
    async with stream("owner") as frames:
        await happen(people.workspace_id, 1)
        last = (await anext(frames))["id"]
    await happen(people.foreign_workspace_id, 99)
    await happen(people.workspace_id, 2)
    async with stream("owner", **{"Last-Event-ID": last}) as frames:
        await happen(people.workspace_id, 3)
        assert [number(await anext(frames)), number(await anext(frames))] == [2, 3]


async def test_transient_events_have_no_id(stream, people):
    async with stream("owner") as frames:
        events.tell("run.delta", {"number": 1}, workspace_id=people.workspace_id)
        assert "id" not in await anext(frames)


async def test_an_id_that_is_not_kept_means_resync(stream, people):
    for n in range(3):
        await happen(people.workspace_id, n)
    async with db.writing() as session:
        await session.delete(await session.get(Event, 1))
        await session.delete(await session.get(Event, 2))
    for unknown in ("1", "999999"):
        async with stream("owner", **{"Last-Event-ID": unknown}) as frames:
            assert (await anext(frames))["event"] == "resync"
            await happen(people.workspace_id, 7)
            assert number(await anext(frames)) == 7


@pytest.mark.parametrize("rubbish", ["x", "-1", "1.5", "9" * 30])
async def test_a_rubbish_id_is_refused(as_, rubbish):
    answer = await as_("owner").get("/api/events", headers={"Last-Event-ID": rubbish})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


async def test_a_listener_that_was_too_slow_reads_again(people):
    async with events.bus.subscribe(size=2) as listener:
        heard = sse.tune_in(people["owner"], listener)
        for n in range(5):
            events.tell("run.delta", {"number": n}, workspace_id=people.workspace_id)
        first = await anext(heard)
        assert first
        assert first.type == "resync"
        events.tell("run.delta", {"number": 9}, workspace_id=people.workspace_id)
        second = await anext(heard)
        assert second
        assert second.data == {"number": 9}
        await heard.aclose()


async def test_a_quiet_stream_is_kept_alive(stream, monkeypatch):
    monkeypatch.setattr(sse, "QUIET", 0.05)
    async with stream("owner") as frames:
        assert (await anext(frames))["comment"]


async def test_a_revoked_key_ends_the_stream(stream, people):
    async with stream("owner") as frames:
        assert len(live_sockets) == 1
        live_sockets.close(CloseCode.SIGNED_OUT, user_id=people["owner"].user_id)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
