"""The client of OpenClaw against the real gateway, through a real sshd, with a scripted model."""

import asyncio
import glob
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

import asyncssh
import pytest
import pytest_asyncio

from lebureau_app.errors import GuestError
from lebureau_app.guest import ssh
from lebureau_app.guest.device import Device
from lebureau_app.guest.inject import AgentKey
from lebureau_app.guest.openclaw import OpenClaw, OpenClawError, until_reloaded
from lebureau_app.guest.runs import (
    Activity,
    RunAborted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunOngoing,
    RunStarted,
    TextDelta,
    ToolEvent,
)
from lebureau_app.settings import Settings
from tests.support import openclaw_gateway
from tests.support.eventually import eventually
from tests.support.openclaw_gateway import TOKEN, Gateway
from tests.support.scripted_model import MODEL, ScriptedModel
from tests.support.sshd import serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="needs openssh-server"
    ),
]

FIRST_KEY = "sk-test-one"
FOLLOWED = "pgrep -f '[t]ail --lines 0 .*/openclaw-' >/dev/null"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lab:
    """A gateway behind SSH, and the model that it asks."""

    gateway: Gateway
    model: ScriptedModel
    key: AgentKey
    connection: asyncssh.SSHClientConnection
    device: Device

    @asynccontextmanager
    async def claw(self, token: str = TOKEN) -> AsyncIterator[OpenClaw]:
        async with await OpenClaw.connect(
            self.connection, token=token, device=self.device, port=self.gateway.port
        ) as claw:
            yield claw

    def prompts(self, part: str) -> list[str]:
        return [request.prompt for request in self.model.requests if part in request.prompt]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder, home = tmp_path_factory.mktemp("openclaw"), tmp_path_factory.mktemp("home")
    settings, model = Settings(home=home), ScriptedModel()
    async with (
        model.serving() as base_url,
        serving(home, ssh.authorized_key(settings)) as sshd,
    ):
        key = AgentKey("openai-compatible", FIRST_KEY, base_url=base_url, model=MODEL)
        async with openclaw_gateway.running(folder, [key]) as gateway:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ssh, "USER", sshd.user)
                connection = await ssh.connect(
                    "127.0.0.1", sshd.port, sshd.host_key, key=ssh.client_key(settings)
                )
            async with connection:
                yield Lab(gateway, model, key, connection, Device(Device.generate()))


@pytest_asyncio.fixture(loop_scope="module")
async def claw(lab: Lab) -> AsyncIterator[OpenClaw]:
    async with lab.claw() as claw:
        yield claw


@pytest.fixture
def session() -> str:
    return f"agent:main:{uuid4().hex}"


async def until(
    claw: OpenClaw, run_id: str, last: Callable[[RunEvent], bool], timeout: float = 60
) -> list[RunEvent]:
    """The events of one run (and every activity) up to the last one asked for."""
    seen: list[RunEvent] = []
    async with asyncio.timeout(timeout):
        async for event in claw.events():
            if isinstance(event, Activity) or event.run_id == run_id:
                seen.append(event)
                if last(event):
                    return seen
    raise AssertionError("the events ended")


def ended(event: RunEvent) -> bool:
    return isinstance(event, RunFinished | RunFailed | RunAborted)


def of(events: list[RunEvent], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


async def ask(claw: OpenClaw, session: str, text: str) -> list[RunEvent]:
    run_id = uuid4().hex
    assert await claw.send(session, text, run_id) == "started"
    return await until(claw, run_id, ended)


async def test_it_signs_in_and_leaves_no_socket_behind(lab: Lab, claw: OpenClaw):
    await claw.ping()
    assert claw.version == "2026.9.6"
    assert claw.boot_id
    assert not glob.glob(f"{tempfile.gettempdir()}/lebureau-*/gateway")


async def test_a_wrong_token_is_refused(lab: Lab):
    with pytest.raises(OpenClawError, match="token"):
        async with lab.claw(token="wrong"):
            pass


async def test_a_gateway_that_is_not_there_does_not_answer(lab: Lab):
    with pytest.raises(GuestError, match="does not answer yet"):
        await OpenClaw.connect(lab.connection, token=TOKEN, device=lab.device, port=1)


async def test_a_message_is_answered_in_pieces_with_usage(claw: OpenClaw, session: str):
    events = await ask(claw, session, "hello there")
    end = events[-2] if isinstance(events[-1], Activity) else events[-1]
    assert isinstance(end, RunFinished)
    assert end.text == "ECHO: hello there"
    assert end.usage.input_tokens > 1000
    assert end.usage.output_tokens > 0
    assert len(of(events, RunStarted)) == 1
    deltas = of(events, TextDelta)
    assert "".join(delta.text for delta in deltas) == end.text
    assert [delta.seq for delta in deltas] == sorted({delta.seq for delta in deltas})


async def test_a_tool_really_works_and_is_told(lab: Lab, claw: OpenClaw, session: str):
    events = await ask(claw, session, "[[exec: echo hi > made.txt; echo written]]")
    assert (lab.gateway.work / "made.txt").read_text() == "hi\n"
    tools = of(events, ToolEvent)
    assert {tool.name for tool in tools} == {"exec"}
    assert [tool.phase for tool in tools if tool.phase != "update"] == ["start", "result"]
    assert tools[-1].summary == "exec: echo hi > made.txt; echo written"
    assert tools[-1].input == {"command": "echo hi > made.txt; echo written"}
    assert "written" in tools[-1].output
    activities = [activity.text for activity in of(events, Activity)]
    assert "Running echo hi > made.txt; echo written" in activities
    assert of(events, RunFinished)[0].text == "DONE: written"


async def test_usage_counts_every_turn_of_a_run(claw: OpenClaw, session: str):
    one = of(await ask(claw, session, "[[exec: echo a]]"), RunFinished)[0]
    three = of(
        await ask(claw, session, "[[exec: echo a]] [[exec: echo b]] [[exec: echo c]]"), RunFinished
    )[0]
    assert three.usage.input_tokens > 1.8 * one.usage.input_tokens


async def test_words_before_a_tool_stay_in_order(claw: OpenClaw, session: str):
    events = await ask(claw, session, "[[say: Let me see.]] [[exec: echo a]]")
    texts = "".join(delta.text for delta in of(events, TextDelta) if not delta.replace)
    assert texts.index("Let me see.") < texts.index("DONE: a")
    kinds = [type(event) for event in events if isinstance(event, TextDelta | ToolEvent)]
    assert kinds.index(TextDelta) < kinds.index(ToolEvent)


async def test_a_failing_tool_is_told(claw: OpenClaw, session: str):
    events = await ask(claw, session, '[[exec: exit 3]] [[tool: nothing_like_it {"a": 1}]]')
    ends = [tool for tool in of(events, ToolEvent) if tool.phase in ("result", "error")]
    assert ends[0].summary == "exec: exit 3 (exit code 3)"
    assert ends[1].phase == "error"


@pytest.mark.parametrize("text", ["/status", "/new start", "/model x", "stop", "!ls", "/exec hi"])
async def test_commands_of_openclaw_are_text(lab: Lab, claw: OpenClaw, session: str, text: str):
    end = of(await ask(claw, session, text), RunFinished)[0]
    assert lab.prompts(text)[-1] == text
    assert end.usage.output_tokens > 0


async def test_the_same_run_is_never_started_twice(lab: Lab, claw: OpenClaw, session: str):
    run_id, text = uuid4().hex, f"once {uuid4().hex}"
    await claw.send(session, text, run_id)
    await until(claw, run_id, ended)
    assert await claw.send(session, text, run_id) != "started"
    assert len(lab.prompts(text)) == 1


async def test_abort_stops_the_model_too(lab: Lab, claw: OpenClaw, session: str):
    run_id, before = uuid4().hex, lab.model.cut_off
    await claw.send(session, "[[hold]]", run_id)
    await until(claw, run_id, lambda event: isinstance(event, TextDelta))
    assert await claw.abort(session, run_id)
    end = of(await until(claw, run_id, ended), RunAborted)[0]
    assert end.text.startswith("word0")
    await lab.model.until_cut_off(before + 1)
    assert await claw.recover(session, run_id) == end

    async def nothing_is_left() -> bool:
        return not await claw.abort(session, run_id)

    assert await eventually(nothing_is_left)


async def test_a_fork_stops_whatever_it_inherits(lab: Lab, session: str):
    """Also over a connection and by a device that did not send it."""
    run_id = uuid4().hex
    async with lab.claw() as claw:
        await claw.send(session, "[[hold]]", run_id)
        await until(claw, run_id, lambda event: isinstance(event, TextDelta))
        await claw.send(session, "and then?", f"{run_id}-next")
    other = replace(lab, device=Device(Device.generate()))
    async with other.claw() as claw:
        assert await claw.abort_all() == 1
        assert isinstance(await claw.recover(session, run_id), RunAborted)
        assert await claw.in_flight(session) is None
        assert await claw.abort_all() == 0
    assert not lab.prompts("and then?")


async def test_conversations_can_be_forgotten(claw: OpenClaw, session: str):
    assert await claw.model_provider() == "openai-compatible"
    await ask(claw, session, "forget this")
    await claw.forget_sessions()
    assert await claw.history(session) == []


async def test_a_run_goes_on_while_we_are_away(lab: Lab, session: str):
    run_id = uuid4().hex
    async with lab.claw() as claw:
        await claw.send(session, "[[hold]]", run_id)
        await until(claw, run_id, lambda event: isinstance(event, TextDelta))
    async with lab.claw() as claw:
        ongoing = await claw.recover(session, run_id)
        assert isinstance(ongoing, RunOngoing)
        assert ongoing.text.startswith("word0")
        assert await claw.in_flight(session) == ongoing
        assert await claw.send(session, "[[hold]]", run_id) == "in_flight"
        lab.model.release()
        end = of(await until(claw, run_id, ended), RunFinished)[0]
        assert end.text == "word0 word1 word2 word3 word4"
        assert await claw.recover(session, run_id) == end
        assert await claw.in_flight(session) is None


async def test_tools_are_told_to_a_new_connection(lab: Lab, session: str):
    run_id, gate = uuid4().hex, lab.gateway.work / "gate"
    os.mkfifo(gate)
    async with lab.claw() as claw:
        await claw.send(session, f"[[exec: cat {gate}]] [[exec: echo second]]", run_id)
        await until(claw, run_id, lambda event: isinstance(event, ToolEvent))
    async with lab.claw() as claw:
        assert isinstance(await claw.recover(session, run_id), RunOngoing)
        await asyncio.to_thread(gate.write_text, "go")
        events = await until(claw, run_id, ended)
    assert of(events, RunFinished)[0].text == "DONE: second"
    assert "echo second" in {tool.input.get("command") for tool in of(events, ToolEvent)}


async def test_a_run_that_ended_while_we_were_away_is_found(lab: Lab, session: str):
    run_id = uuid4().hex
    async with lab.claw() as claw:
        await claw.send(session, "[[hold]]", run_id)
        await until(claw, run_id, lambda event: isinstance(event, TextDelta))
    async with lab.claw() as watcher:
        lab.model.release()
        await until(watcher, run_id, ended)
    async with lab.claw() as claw:
        end = await claw.recover(session, run_id)
    assert isinstance(end, RunFinished)
    assert end.text == "word0 word1 word2 word3 word4"
    assert end.usage.output_tokens > 0


async def test_a_run_that_never_arrived_may_be_sent(claw: OpenClaw, session: str):
    assert await claw.recover(session, uuid4().hex) is None


async def test_a_broken_connection_ends_the_events_with_an_error(lab: Lab):
    async with lab.claw() as claw:
        await claw._socket.close()
        with pytest.raises(GuestError):
            [event async for event in claw.events()]
        with pytest.raises(GuestError):
            await claw.ping()


async def test_history_says_who_said_what(claw: OpenClaw, session: str):
    await ask(claw, session, "hello")
    rows = await claw.history(session)
    assert [row.role for row in rows] == ["user", "assistant"]
    assert rows[0].text == "hello"
    assert rows[0].run_id == rows[1].run_id


async def test_the_policy_stops_a_deployment(claw: OpenClaw, session: str):
    events = await ask(claw, session, "[[exec: npm publish]]")
    assert "Le Bureau" in of(events, ToolEvent)[-1].output
    assert "Le Bureau" in of(events, RunFinished)[0].text


async def test_a_new_key_is_used_at_once(lab: Lab, claw: OpenClaw, session: str):
    await ask(claw, session, "first")
    assert lab.model.requests[-1].authorization == f"Bearer {FIRST_KEY}"
    lab.gateway.write_keys([replace(lab.key, secret="sk-test-two")])
    await claw.reload_secrets()
    await ask(claw, session, "second")
    assert lab.model.requests[-1].authorization == "Bearer sk-test-two"


async def test_a_removed_key_is_gone(lab: Lab, claw: OpenClaw, session: str):
    lab.gateway.write_keys([])
    await claw.reload_secrets()
    asked = len(lab.model.requests)
    failed = of(await ask(claw, session, "still there?"), RunFailed)[0]
    assert "has no key" in failed.message
    assert len(lab.model.requests) == asked
    lab.gateway.write_keys([lab.key])
    await claw.reload_secrets()
    assert of(await ask(claw, session, "back"), RunFinished)


async def test_a_rejected_key_is_told_in_words(claw: OpenClaw, session: str):
    """The last test: OpenClaw pauses the key for a minute."""
    run_id = uuid4().hex
    await claw.send(session, "[[status: 401]]", run_id)
    failed = of(await until(claw, run_id, ended), RunFailed)[0]
    assert "rejected the key (401)" in failed.message
    assert await claw.recover(session, run_id) == failed
    paused = of(await ask(claw, session, "again"), RunFailed)[0]
    assert "pauses it for about a minute" in paused.message


async def test_a_reload_is_told_when_it_is_over(lab: Lab):
    for key in (replace(lab.key, model="another-model"), lab.key):
        waiting = asyncio.create_task(until_reloaded(lab.connection, 60))
        await ssh.run(lab.connection, f"until {FOLLOWED}; do sleep 0.05; done", timeout=30)
        lab.gateway.configure([key])
        async with asyncio.timeout(50):
            await waiting


async def test_a_reload_that_does_not_come_is_not_waited_for_any_longer(lab: Lab):
    await until_reloaded(lab.connection, 0.5)
    await ssh.run(lab.connection, f"while {FOLLOWED}; do sleep 0.05; done", timeout=30)
