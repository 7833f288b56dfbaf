"""The client of OpenClaw against a scripted gateway: what the real one does rarely."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lebureau_app.errors import GuestError
from lebureau_app.guest import openclaw
from lebureau_app.guest.openclaw import OpenClaw, OpenClawError
from lebureau_app.guest.runs import RunFailed, RunFinished, RunOngoing, TextDelta

SESSION = "agent:main:c"
TAKEN_UP = "[System] Your previous turn was interrupted by a gateway restart while …"
Answers = dict[str, Callable[[dict[str, Any]], Any]]


class Socket:
    """Stands in for the WebSocket: answers calls from a table and says what it is told to."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._incoming: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, raw: str) -> None:
        request = json.loads(raw)
        method, params = request["method"], request["params"]
        self.calls.append((method, params))
        if method in self.answers:
            payload = self.answers[method](params)
            self.say(type="res", id=request["id"], ok=True, payload=payload)

    def say(self, **message: Any) -> None:
        self._incoming.put_nowait(json.dumps(message))

    def event(self, event: str, **payload: Any) -> None:
        self.say(type="event", event=event, payload={"sessionKey": SESSION, **payload})

    def raw(self, text: str) -> None:
        self._incoming.put_nowait(text)

    async def close(self) -> None:
        self._incoming.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (item := await self._incoming.get()) is not None:
            yield item


def client(**answers: Callable[[dict[str, Any]], Any]) -> tuple[OpenClaw, Socket]:
    given = {name.replace("_", "."): answer for name, answer in answers.items()}
    socket = Socket({"sessions.subscribe": lambda _: {}, **given})
    return OpenClaw(socket), socket  # pyright: ignore[reportArgumentType]


def said(text: str, run_id: str) -> dict[str, Any]:
    return {"role": "user", "content": text, "idempotencyKey": f"{run_id}:user"}


def answered(text: str, run_id: str, stop: str = "stop", tokens: int = 1) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stopReason": stop,
        "usage": {"input": tokens, "output": tokens},
        "__openclaw": {"runId": run_id},
    }


async def test_a_long_run_is_read_page_by_page():
    pages = {
        0: [answered("last", "r")],
        200: [answered("", "r", "toolUse")] * 3,
        400: [answered("before", "old"), said("go", "r"), answered("", "r", "toolUse")],
    }

    def history(params: dict[str, Any]) -> dict[str, Any]:
        return {"messages": pages[params["offset"]], "hasMore": params["offset"] < 600}

    claw, socket = client(chat_history=history)
    async with claw:
        end = await claw.recover(SESSION, "r")
    assert isinstance(end, RunFinished)
    assert (end.text, end.usage.input_tokens) == ("last", 5)
    read = [params["offset"] for method, params in socket.calls if method == "chat.history"]
    assert read == [0, 200, 400]


async def test_a_run_that_openclaw_takes_up_after_its_restart_is_the_same_run():
    rows = [said("go", "r")]
    claw, socket = client(
        chat_history=lambda _: {"messages": rows, "sessionInfo": {"hasActiveRun": True}}
    )
    async with claw:
        assert await claw.recover(SESSION, "r") == RunOngoing("r", "")
        socket.event("chat", runId="r2", seq=3, state="delta", deltaText="done")
        rows += [said(TAKEN_UP, "r2"), answered("done", "r2")]
        socket.event("chat", runId="r2", seq=4, state="final", message=rows[-1])
        events = claw.events()
        seen = [await anext(events) for _ in range(3)]
        assert seen[1] == TextDelta("r", 1_000_003, "done")
        assert isinstance(seen[2], RunFinished)
        assert (seen[2].run_id, seen[2].text, seen[2].usage.input_tokens) == ("r", "done", 1)
        assert await claw.recover(SESSION, "r") == seen[2]


async def test_an_interrupted_run_that_nobody_takes_up_has_failed():
    claw, _ = client(
        chat_history=lambda _: {
            "messages": [said("go", "r"), answered("", "r", "toolUse")],
            "sessionInfo": {"hasActiveRun": False, "activeRunIds": []},
        }
    )
    async with claw:
        end = await claw.recover(SESSION, "r")
    assert isinstance(end, RunFailed)
    assert "interrupted" in end.message


async def test_the_answer_to_a_run_without_rows_is_asked_for():
    claw, _ = client(
        chat_history=lambda _: {"messages": []},
        agent_wait=lambda _: {"status": "error", "error": "HTTP 401"},
    )
    async with claw:
        end = await claw.recover(SESSION, "r")
    assert isinstance(end, RunFailed)
    assert "rejected the key" in end.message


async def test_an_end_without_its_history_is_still_told():
    claw, socket = client()
    async with claw:
        socket.event("chat", runId="r", seq=1, state="final", message={"content": "done"})
        events = claw.events()
        ending = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await socket.close()
        assert await ending == RunFinished("r", "done")


@pytest.mark.parametrize("garbage", ["not json", "[]", "{}", '{"type": "event"}', "null"])
async def test_garbage_ends_the_connection_and_every_call(garbage: str):
    claw, socket = client()
    async with claw:
        call = asyncio.create_task(claw.ping())
        await asyncio.sleep(0)
        socket.raw(garbage)
        with pytest.raises(GuestError, match="not its protocol"):
            await call
        with pytest.raises(GuestError, match="not its protocol"):
            [event async for event in claw.events()]


async def test_a_flood_that_nobody_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lebureau_app.guest.openclaw._WAITING_EVENTS", 3)
    claw, socket = client()
    async with claw:
        call = asyncio.create_task(claw.ping())
        for _ in range(5):
            socket.event("chat", runId="r")
        with pytest.raises(GuestError):
            await call


async def test_a_call_without_an_answer_is_given_up():
    claw, _ = client()
    async with claw:
        with pytest.raises(GuestError, match="did not answer `x`"):
            await claw.call("x", timeout=0.01)


async def test_an_error_of_openclaw_is_told_with_its_code():
    claw, socket = client()
    async with claw:
        call = asyncio.create_task(claw.call("x"))
        await asyncio.sleep(0)
        socket.say(type="res", id="1", ok=False, error={"code": "NOPE", "message": "no"})
        with pytest.raises(OpenClawError, match="refused `x`: no") as caught:
            await call
    assert caught.value.reason == "NOPE"


async def test_an_answer_that_comes_too_late_hurts_nobody():
    claw, socket = client(**{"sessions_list": lambda _: {}})
    async with claw:
        socket.say(type="res", id="77", ok=True)
        await claw.ping()


async def test_after_our_own_close_events_end_quietly():
    claw, _ = client()
    await claw.close()
    assert [event async for event in claw.events()] == []
    with pytest.raises(GuestError, match="closed"):
        await claw.ping()


def outcome(usage: dict[str, Any] | None) -> dict[str, Any]:
    return {"runId": "r", "status": "ok", "result": {"meta": {"agentMeta": {"usage": usage}}}}


async def ending(claw: OpenClaw, socket: Socket) -> asyncio.Task[Any]:
    """Send a run, have it end, and wait for what is told of its end."""
    await claw.send(SESSION, "go", "r")
    socket.event("chat", runId="r", seq=1, state="final", message=answered("done", "r"))

    async def end() -> Any:
        async for event in claw.events():
            if isinstance(event, RunFinished):
                return event

    return asyncio.create_task(end())


ACCEPTED = {"runId": "r", "status": "accepted"}


async def test_the_usage_of_a_run_comes_with_the_last_answer():
    claw, socket = client(agent=lambda _: ACCEPTED)
    async with claw:
        ended = await ending(claw, socket)
        socket.say(type="res", id="1", ok=True, payload=outcome({"input": 2, "cacheRead": 3}))
        assert (await ended).usage.input_tokens == 5
    assert [method for method, _ in socket.calls] == ["agent"]


async def test_the_history_tells_the_usage_where_the_last_answer_does_not():
    rows = [said("go", "r"), answered("done", "r", tokens=7)]
    claw, socket = client(agent=lambda _: ACCEPTED, chat_history=lambda _: {"messages": rows})
    async with claw:
        ended = await ending(claw, socket)
        socket.say(type="res", id="1", ok=True, payload=outcome(None))
        assert (await ended).usage.input_tokens == 7


async def test_a_run_whose_last_answer_never_comes_has_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(openclaw, "_OUTCOME_SECONDS", 0.01)
    rows = [said("go", "r"), answered("done", "r", tokens=7)]
    claw, socket = client(agent=lambda _: ACCEPTED, chat_history=lambda _: {"messages": rows})
    async with claw:
        assert (await (await ending(claw, socket))).usage.input_tokens == 7


async def test_a_connection_that_breaks_before_the_last_answer_loses_no_end():
    claw, socket = client(agent=lambda _: ACCEPTED)
    async with claw:
        ended = await ending(claw, socket)
        await socket.close()
        assert (await ended).text == "done"
