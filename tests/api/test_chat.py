"""Chat: at once, with `wait`, and as a stream."""

import asyncio
import json

import pytest

from lebureau_app.api import conversations as routes
from lebureau_app.models import RunStatus
from lebureau_app.services import conversations, events
from lebureau_app.services.conversations import Ended
from tests.conftest import set_desktop


@pytest.fixture
def chat(as_, desktop):
    async def say(text="hello", headers=None, **body):
        path = f"/api/desktops/{desktop.id}/chat"
        return await as_("owner").post(path, json={"message": text, **body}, headers=headers)

    return say


async def answer_next(desktop, reply="Done.", deltas=()):
    """Be the agent: take the next message once it is there, and answer it."""
    async with events.bus.subscribe() as listener:
        while (taken := await conversations.take_next(desktop.id)) is None:
            await listener.get()
    run, text = taken
    for number, delta in enumerate(deltas):
        told = {"runId": run.id, "seq": number, "text": delta}
        events.tell("run.delta", told, workspace_id=run.workspace_id, desktop_id=desktop.id)
    await conversations.end(run.id, Ended(RunStatus.DONE, reply, 3, 5))
    return text


async def test_a_message_is_taken_at_once(chat, desktop, living):
    answer = await chat("/help is text")
    assert answer.status_code == 202
    body = answer.json()
    assert body.keys() == {"message", "conversationId", "runId"}
    assert body["message"]["text"] == "/help is text"
    assert body["message"]["status"] == "queued"
    assert living.wakes == 1


async def test_waiting_gives_the_run(chat, desktop):
    working = asyncio.create_task(answer_next(desktop))
    answer = await chat(wait=20)
    assert await working == "hello"
    assert (answer.status_code, answer.json()["run"]["reply"]) == (200, "Done.")


async def test_a_wait_that_is_too_short_is_202(chat, monkeypatch):
    async def at_once(caller, run_id, _seconds):
        return await conversations.get_run(caller, run_id)

    monkeypatch.setattr(routes.conversations, "wait_for_run", at_once)
    answer = await chat(wait=1)
    assert (answer.status_code, answer.json()["run"]["status"]) == (202, "queued")


async def test_the_same_key_sends_once_and_waits_again(chat, desktop, as_):
    key = {"Idempotency-Key": "k"}
    first = await chat(headers=key)
    working = asyncio.create_task(answer_next(desktop))
    again = await chat(headers=key)
    assert again.json()["runId"] == first.json()["runId"]
    await working
    messages = (await as_("owner").get(f"/api/desktops/{desktop.id}/messages")).json()["items"]
    assert [(each["role"], each["text"]) for each in messages] == [
        ("assistant", "Done."),
        ("user", "hello"),
    ]


async def test_a_streamed_answer_ends_with_its_run(chat, desktop):
    working = asyncio.create_task(answer_next(desktop, "Hello there", ["Hello", " there"]))
    answer = await chat(headers={"Accept": "text/event-stream"})
    await working
    assert answer.headers["content-type"].startswith("text/event-stream")
    heard = [
        (lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: ")))
        for lines in (part.split("\n") for part in answer.text.strip().split("\n\n"))
        if not lines[0].startswith(":")
    ]
    kinds = [kind for kind, _ in heard]
    assert kinds[0] == "message.created"
    assert kinds[-1] == "run.updated"
    assert heard[-1][1]["reply"] == "Hello there"
    deltas = [data["text"] for kind, data in heard if kind == "run.delta"]
    assert deltas == ["Hello", " there"]
    assert kinds.count("message.created") == 2


async def test_streaming_a_run_that_has_ended_shows_its_end(chat, desktop):
    key = {"Idempotency-Key": "k"}
    working = asyncio.create_task(answer_next(desktop))
    await chat(headers=key, wait=20)
    await working
    again = await chat(headers={**key, "Accept": "text/event-stream"}, wait=20)
    assert again.text.count("event: ") == 1  # the end
    assert '"status":"done"' in again.text


@pytest.mark.parametrize("body", [{"message": " "}, {"message": "x", "wait": 301}, {}])
async def test_wrong_messages_are_422(as_, desktop, body):
    answer = await as_("owner").post(f"/api/desktops/{desktop.id}/chat", json=body)
    assert answer.status_code == 422


async def test_a_stopped_desktop_hears_nothing(chat, desktop):
    await set_desktop(desktop.id, status="stopped")
    answer = await chat(headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "desktop_not_running")


async def test_abort_and_run(chat, desktop, as_):
    run_id = (await chat()).json()["runId"]
    path = f"/api/desktops/{desktop.id}/chat/abort"
    answer = await as_("owner").post(path)
    assert (answer.status_code, answer.json()["run"]["status"]) == (202, "aborted")
    assert (await as_("owner").post(path)).json() == {"run": None}
    run = (await as_("owner").get(f"/api/runs/{run_id}")).json()
    assert run["status"] == "aborted"
    listed = (await as_("owner").get("/api/conversations")).json()["items"]
    said = await as_("owner").get(f"/api/conversations/{listed[0]['id']}/messages")
    assert said.json()["items"][0]["runId"] == run_id
