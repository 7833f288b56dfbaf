"""Chat: brings waiting messages to the agent one at a time, and writes down what it does."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from lebureau_app.engine.waiting import wait_until_set
from lebureau_app.errors import AgentError, NoModelKey
from lebureau_app.guest.openclaw import OpenClaw
from lebureau_app.guest.runs import (
    Activity,
    RunAborted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunOngoing,
    TextDelta,
    ToolEvent,
    Usage,
)
from lebureau_app.models import Run, RunStatus
from lebureau_app.services import conversations, desktop_state, events
from lebureau_app.services.conversations import Ended

KEEP_EVERY = 2.0
STILL_THERE = 30.0


class Progress:
    """What a run has brought so far.

    Args:
        run: The run.
        session_key: OpenClaw's session for it.
    """

    def __init__(self, run: Run, session_key: str) -> None:
        self.run = run
        self.session_key = session_key
        self.text = ""
        self.tools: dict[str, dict[str, Any]] = {}
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._kept_at = time.monotonic()

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls as a message keeps them."""
        return list(self.tools.values())

    async def take(self, event: RunEvent) -> None:
        """Take in one event of this run."""
        match event:
            case TextDelta(seq=seq, text=text, replace=replace):
                self.text = text if replace else self.text + text
                self._tell("run.delta", seq=seq, text=text, replace=replace)
                await self._keep()
            case ToolEvent():
                self._take_tool(event)
                self._tell(
                    "run.tool",
                    seq=event.seq,
                    callId=event.call_id,
                    name=event.name,
                    phase=event.phase,
                    summary=event.summary,
                )
                await self._keep(now=event.phase != "update")
            case RunFinished(text=text, usage=usage):
                self._end(RunStatus.DONE, text or self.text, usage)
            case RunFailed(message=message, usage=usage):
                self._end(RunStatus.FAILED, self.text, usage, AgentError(message))
            case RunAborted(text=text, usage=usage):
                self._end(RunStatus.ABORTED, text or self.text, usage)

    def _take_tool(self, event: ToolEvent) -> None:
        call = self.tools.setdefault(
            event.call_id,
            {"id": event.call_id, "name": event.name, "startedAt": time.time()},
        )
        call["summary"] = event.summary or call.get("summary", "")
        call["status"] = {"result": "done", "error": "failed"}.get(event.phase, "running")
        if event.input:
            call["input"] = event.input
        if event.output:
            call["output"] = event.output
        if event.phase in ("result", "error"):
            call["seconds"] = round(time.time() - call["startedAt"], 1)

    def _end(
        self, status: RunStatus, reply: str, usage: Usage, error: AgentError | None = None
    ) -> None:
        if not self.ended.done():
            self.ended.set_result(
                Ended(status, reply, usage.input_tokens, usage.output_tokens, usage.cost, error)
            )

    async def _keep(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._kept_at > KEEP_EVERY:
            self._kept_at = time.monotonic()
            await conversations.keep_so_far(self.run.id, self.text, self.tool_calls)

    def _tell(self, kind: str, **data: Any) -> None:
        events.tell(
            kind,
            {"runId": self.run.id, **data},
            workspace_id=self.run.workspace_id,
            desktop_id=self.run.desktop_id,
        )


class Chat:
    """The chat with one connected agent.

    Args:
        desktop_id: Whose agent it is.
        agent: The connected client.
        woken: Set when there may be a message to bring or a run to abort.
    """

    def __init__(self, desktop_id: str, agent: OpenClaw, woken: asyncio.Event) -> None:
        self._desktop_id = desktop_id
        self._agent = agent
        self._woken = woken
        self._progress: Progress | None = None

    async def serve(self) -> None:
        """Bring messages until the connection ends.

        Raises:
            GuestError: The connection ended.
        """
        listening = asyncio.create_task(self._listen(self._agent.events()))
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait([listening, working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, working):
                task.cancel()
            results = await asyncio.gather(listening, working, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _listen(self, agent_events: AsyncIterator[RunEvent]) -> None:
        async for event in agent_events:
            if isinstance(event, Activity):
                await desktop_state.note(self._desktop_id, activity=event.text)
            elif self._progress and event.run_id == self._progress.run.id:
                await self._progress.take(event)

    async def _work(self) -> None:
        run = await conversations.under_way(self._desktop_id)
        if run is not None:
            await self._resume(run)
        while True:
            self._woken.clear()
            taken = await conversations.take_next(self._desktop_id)
            if taken is not None:
                await self._bring(*taken)
                continue
            await wait_until_set(self._woken, STILL_THERE)

    async def _bring(self, run: Run, text: str) -> None:
        desktop = await desktop_state.load(self._desktop_id)
        if desktop is None or not await desktop_state.provider_keys_of(desktop):
            await conversations.end(run.id, Ended(RunStatus.FAILED, error=NoModelKey()))
            return
        self._progress = Progress(run, await session_key(run))
        await desktop_state.note(self._desktop_id, activity="Thinking")
        await self._agent.send(self._progress.session_key, text, run.id)
        await self._until_ended(self._progress)

    async def _resume(self, run: Run) -> None:
        """Find out what became of a run while nobody listened."""
        self._progress = Progress(run, await session_key(run))
        found = await self._agent.recover(self._progress.session_key, run.id)
        match found:
            case None:
                await conversations.give_back(run.id)
                self._progress = None
                return
            case RunOngoing(text=text):
                self._progress.text = text
            case _:
                await self._progress.take(found)
        await self._until_ended(self._progress)

    async def _until_ended(self, progress: Progress) -> None:
        run = progress.run
        aborting = False
        while not progress.ended.done():
            if not aborting and await conversations.wants_abort(run.id):
                aborting = True
                await self._agent.abort(progress.session_key, run.id)
            woken = asyncio.create_task(self._woken.wait())
            await asyncio.wait(
                [progress.ended, woken], timeout=STILL_THERE, return_when=asyncio.FIRST_COMPLETED
            )
            woken.cancel()
            self._woken.clear()
        ended = progress.ended.result()
        await conversations.end(run.id, ended, progress.tool_calls)
        await desktop_state.add_usage(
            self._desktop_id, ended.input_tokens, ended.output_tokens, ended.cost
        )
        await desktop_state.note(
            self._desktop_id, activity="Idle", needs_attention=ended.status == RunStatus.FAILED
        )
        self._progress = None


async def session_key(run: Run) -> str:
    """OpenClaw's session for a run: one a conversation."""
    return f"agent:main:{await conversations.thread_of(run)}"
