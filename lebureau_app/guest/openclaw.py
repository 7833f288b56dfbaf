"""OpenClaw in a desktop: its gateway's WebSocket (wire protocol 4) through the SSH connection.

Reconnecting is the caller's decision. Nothing is lost or doubled by it: a run goes on in the guest
without us, and `recover` says what has become of it. Sending the same run again starts no second
one as long as OpenClaw runs; after a restart of OpenClaw, ask `recover` first. OpenClaw itself takes
up a run that its restart interrupted, under another id: that is told here as the same run.
"""

import asyncio
import contextlib
import itertools
import json
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncssh
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from lebureau_app.errors import GuestError
from lebureau_app.guest import failures
from lebureau_app.guest.device import Device
from lebureau_app.guest.runs import (
    READ_EVENTS,
    RunAborted,
    RunEnd,
    RunEvent,
    RunFailed,
    RunFinished,
    RunOngoing,
    RunReader,
    Usage,
    text_of,
    usage_of,
)

PORT = 18789
PROTOCOL = 4

_CLIENT = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "ui"}
_ROLE = "operator"
# `admin` is what `secrets.reload`, messages without commands and the tool `computer` need.
_SCOPES = [
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.questions",
    "operator.admin",
]
_CAPABILITIES = ["tool-events"]
_LARGEST_MESSAGE = 32 * 1024 * 1024
_WAITING_EVENTS = 20_000
_PAGE = 200
_PAGES = 50
_ENDED = object()
_COMMAND = re.compile(r"\s*/(new|reset)\b", re.IGNORECASE)
"""What the method `agent` takes for a command, and cannot be told to take for text."""

_RELOADED = "config hot reload applied"
_FOLLOW_LOG = 'exec tail --lines 0 --follow=name --retry "/tmp/openclaw/openclaw-$(date +%F).log"'
_INTERRUPTED = "The agent was interrupted before it had answered. Send the message again."
_TAKEN_UP = "[System] Your previous turn was interrupted by a gateway restart"
_LATER = 1_000_000
_DELETE_SECONDS = 600
_OUTCOME_SECONDS = 30
"""How long the outcome of a run may take after its end was told; then the history is asked."""


class OpenClawError(GuestError):
    """OpenClaw answered a call with an error.

    Attributes:
        reason: OpenClaw's code for it, such as `INVALID_REQUEST`.
    """

    code = "agent_error"

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.reason = str(error.get("code") or "")
        super().__init__(
            f"The agent refused `{method}`: {error.get('message') or 'no reason given'}.",
            hint="Restart the desktop if it stays so.",
        )


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One entry of OpenClaw's own history of a session.

    Attributes:
        role: `user`, `assistant`, `toolResult` or `custom`.
        run_id: The run it belongs to; empty where OpenClaw does not say.
    """

    role: str
    text: str
    run_id: str
    usage: Usage
    raw: dict[str, Any]


class OpenClaw:
    """One connection to the gateway. Use `connect`, and `close` at the end (or `async with`).

    Attributes:
        version: OpenClaw's version.
        boot_id: Changes when the gateway is started again.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._accepted: dict[str, str] = {}
        self._outcomes: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._interrupted: dict[str, str] = {}
        self._same: dict[str, str] = {}
        self._fault: str | None = None
        self._challenge: asyncio.Future[dict[str, Any]] = asyncio.Future()
        self._listener = asyncio.create_task(self._listen(), name="openclaw-listener")
        self._listener.add_done_callback(lambda _: self._end())
        self.version = ""
        self.boot_id = ""

    @classmethod
    async def connect(
        cls,
        connection: asyncssh.SSHClientConnection,
        *,
        token: str,
        device: Device,
        port: int = PORT,
        timeout: float = 60,
    ) -> Self:
        """Open the gateway's WebSocket through the SSH connection.

        Args:
            connection: From `ssh.connect`.
            token: The gateway's token.
            device: Our device towards this desktop.
            port: The gateway's port on the guest's loopback.
            timeout: Seconds for connecting and signing in.

        Returns:
            A client that has signed in.

        Raises:
            GuestError: OpenClaw does not answer (yet).
            OpenClawError: It refuses the token or the device.
        """
        try:
            async with asyncio.timeout(timeout):
                client = cls(await _websocket(connection, port))
                try:
                    await client._sign_in(token, device)
                except BaseException:
                    await client.close()
                    raise
                return client
        except (OSError, TimeoutError, WebSocketException, asyncssh.Error) as error:
            raise GuestError(
                "The agent does not answer yet.",
                hint="OpenClaw needs some minutes after a boot; `explain` says how far it is.",
            ) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave; runs go on in the guest."""
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        await self._socket.close()

    async def events(self) -> AsyncIterator[RunEvent]:
        """What happens in runs from now on, also in runs that began earlier. One reader only.

        Yields:
            Events in their order. A run's end comes with its usage: OpenClaw tells it in its last
            answer to `agent`, and whoever did not send the run, or sees it fail, asks its history.

        Raises:
            GuestError: The connection broke. `recover` tells what became of a run.
        """
        reader = RunReader()
        while (item := await self._events.get()) is not _ENDED:
            event, payload = item
            for one in reader.read(event, self._as_the_same_run(payload)):
                if isinstance(one, RunFinished | RunFailed | RunAborted):
                    yield await self._with_usage(one, payload)
                else:
                    yield one
        if self._fault is not None:
            raise GuestError(self._fault)

    async def send(self, session_key: str, text: str, run_id: str, *, timeout: float = 120) -> str:
        """Give the agent a message. A leading `/` is text, not a command of OpenClaw.

        OpenClaw has a method for programs, `agent`, and one for its own web page, `chat.send`, which
        takes its main thread an eighth longer and teaches the model what only that page can show.

        Args:
            session_key: Which conversation, `agent:main:<id>`.
            text: The person's message.
            run_id: Our id of the run; the same id never starts a second run.
            timeout: Seconds until OpenClaw has taken it.

        Returns:
            `started`, `in_flight` where this run is under way already, or how it has ended.

        Raises:
            OpenClawError: The message was refused.
            GuestError: The connection broke; `recover` tells whether it arrived.
        """
        message = {"sessionKey": session_key, "message": text, "idempotencyKey": run_id}
        if _COMMAND.match(text):
            method, how = "chat.send", {"suppressCommandInterpretation": True}
        else:
            method, how = "agent", {"deliver": False}
        answer = await self.call(method, message | how, timeout=timeout)
        status = str(answer.get("status"))
        return "started" if status == "accepted" else status

    async def abort(self, session_key: str, run_id: str) -> bool:
        """Stop a run; its end comes as an event.

        Returns:
            Whether anything of the run was left to stop; that is so until a moment after its end.
        """
        answer = await self.call("chat.abort", {"sessionKey": session_key, "runId": run_id})
        return bool(answer.get("aborted"))

    async def model_provider(self) -> str:
        """Through whose model new conversations are answered now; empty where there is none."""
        answer = await self.call("sessions.list", {"limit": 1})
        return str((answer.get("defaults") or {}).get("modelProvider") or "")

    async def abort_all(self) -> int:
        """Stop every run that is under way or waits, in any session: a fork ends what it inherits.

        Returns:
            In how many sessions there was one.
        """
        active = await self._sessions(activeOnly=True)
        for key in active:
            await self.call("sessions.abort", {"key": key, "clearQueued": True})
        return len(active)

    async def forget_sessions(self) -> None:
        """Delete every session with everything that was said in it."""
        for key in await self._sessions():
            wanted = {"key": key, "deleteTranscript": True}
            await self.call("sessions.delete", wanted, timeout=_DELETE_SECONDS)

    async def history(self, session_key: str, limit: int = _PAGE) -> list[HistoryRow]:
        """The newest rows of OpenClaw's history of a session, oldest first."""
        page = await self._history(session_key, limit=limit)
        return [_row(raw) for raw in page["messages"]]

    async def in_flight(self, session_key: str) -> RunOngoing | None:
        """The run that is under way in a session, if any."""
        return _ongoing(await self._history(session_key, limit=1))

    async def recover(self, session_key: str, run_id: str) -> RunOngoing | RunEnd | None:
        """What has become of a run that was sent over an earlier connection.

        Its tools come to the connection that sent it; to this one, only by a subscription, which
        brings so much else that every turn takes OpenClaw longer: nobody else gets one.

        Args:
            session_key: Its conversation.
            run_id: Our id of the run.

        Returns:
            That it is under way (its events come from `events`), or how it ended, or None where
            OpenClaw has never heard of it, so that it may be sent.
        """
        await self.call("sessions.subscribe")
        page = await self._history(session_key, limit=_PAGE)
        rows = await self._rows_of(session_key, run_id, page)
        session = page.get("sessionInfo") or {}
        ongoing = _ongoing(page)
        if ongoing is not None and self._same.get(ongoing.run_id, ongoing.run_id) == run_id:
            return RunOngoing(run_id, ongoing.text)
        active = session.get("activeRunIds") or []
        if any(self._same.get(one, one) == run_id for one in active):
            return RunOngoing(run_id, "")
        if not rows:
            waited = await self.call("agent.wait", {"runId": run_id, "timeoutMs": 0})
            if waited.get("status") == "error":
                return RunFailed(run_id, failures.in_words(str(waited.get("error") or "")))
            return None
        pending = session.get("abortedLastRun") or session.get("hasActiveRun")
        if pending and not _has_end(rows[-1]):
            self._interrupted[session_key] = run_id
            return RunOngoing(run_id, "")
        return _end_of(run_id, rows)

    async def reload_secrets(self) -> None:
        """Make OpenClaw read its key file again; the next turn uses the new keys."""
        await self.call("secrets.reload")

    async def ping(self) -> None:
        """Really use the gateway, for the light of the agent.

        Raises:
            GuestError: It does not answer.
        """
        await self.call("sessions.list", {"limit": 1})

    async def call(
        self, method: str, params: dict[str, Any] | None = None, *, timeout: float = 60
    ) -> dict[str, Any]:
        """Call a method of the gateway.

        Args:
            method: Its name.
            params: Its parameters.
            timeout: Seconds.

        Returns:
            Its answer.

        Raises:
            OpenClawError: It answered with an error.
            GuestError: It did not answer, or the connection broke.
        """
        if self._fault is not None or self._listener.done():
            raise GuestError(self._fault or "The connection to the agent is closed.")
        number = str(next(self._numbers))
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        request = {"type": "req", "id": number, "method": method, "params": params or {}}
        try:
            async with asyncio.timeout(timeout):
                await self._socket.send(json.dumps(request))
                response = await answer
        except TimeoutError as error:
            raise GuestError(
                f"The agent did not answer `{method}` within {timeout:.0f} s."
            ) from error
        except WebSocketException as error:
            raise GuestError("The connection to the agent broke.") from error
        finally:
            del self._calls[number]
        if not response.get("ok"):
            raise OpenClawError(method, response.get("error") or {})
        return response.get("payload") or {}

    async def _sign_in(self, token: str, device: Device) -> None:
        challenge = await self._challenge
        hello = await self.call(
            "connect",
            {
                "minProtocol": PROTOCOL,
                "maxProtocol": PROTOCOL,
                "client": _CLIENT,
                "role": _ROLE,
                "scopes": _SCOPES,
                "caps": _CAPABILITIES,
                "auth": {"token": token},
                "device": device.proof(
                    client=_CLIENT, role=_ROLE, scopes=_SCOPES, token=token, challenge=challenge
                ),
            },
        )
        server = hello.get("server") or {}
        self.version = str(server.get("version") or "")
        self.boot_id = str(server.get("bootId") or "")

    async def _listen(self) -> None:
        try:
            async for raw in self._socket:
                self._take(json.loads(raw))
            self._fault = "The agent closed the connection."
        except (WebSocketException, OSError):
            self._fault = "The connection to the agent broke."
        except (ValueError, KeyError, TypeError, AttributeError):
            self._fault = "The agent sent something that is not its protocol."

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "res":
            self._take_answer(message["id"], message)
            return
        event, payload = message["event"], message.get("payload") or {}
        if event == "connect.challenge" and not self._challenge.done():
            self._challenge.set_result(payload)
        elif event in READ_EVENTS:
            if self._events.qsize() >= _WAITING_EVENTS:
                raise ValueError("nobody reads the events")
            self._events.put_nowait((event, payload))

    def _take_answer(self, number: str, message: dict[str, Any]) -> None:
        """What accepts a run is answered once more when the run has ended."""
        payload = message.get("payload") or {}
        if number in self._accepted:
            outcome = self._outcomes.get(self._accepted.pop(number))
            if outcome is not None and not outcome.done():
                outcome.set_result(payload)
            return
        if payload.get("status") == "accepted":
            run_id = self._accepted[number] = str(payload.get("runId"))
            self._outcomes[run_id] = asyncio.get_running_loop().create_future()
        answer = self._calls.get(number)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _end(self) -> None:
        fault = GuestError(self._fault or "The connection to the agent is closed.")
        for waiting in (*self._calls.values(), self._challenge):
            if not waiting.done():
                waiting.set_exception(fault)
                waiting.exception()  # Else Python warns where nobody waits any more.
        for outcome in self._outcomes.values():
            if not outcome.done():
                outcome.set_result({})
        self._events.put_nowait(_ENDED)

    async def _with_usage(self, end: RunEnd, payload: dict[str, Any]) -> RunEnd:
        try:
            if isinstance(end, RunFinished) and end.text:
                usage = _usage_of_all(await self._outcome(end.run_id))
                if usage is not None:
                    return RunFinished(end.run_id, end.text, usage)
        finally:
            self._outcomes.pop(end.run_id, None)
        return await self._with_usage_by_history(end, str(payload.get("sessionKey")))

    async def _outcome(self, run_id: str) -> dict[str, Any]:
        """The last answer to `agent`; empty where it does not come, or to another connection."""
        with contextlib.suppress(KeyError, TimeoutError):
            return await asyncio.wait_for(self._outcomes[run_id], _OUTCOME_SECONDS)
        return {}

    async def _with_usage_by_history(self, end: RunEnd, session_key: str) -> RunEnd:
        try:
            page = await self._history(session_key, limit=_PAGE)
            rows = await self._rows_of(session_key, end.run_id, page)
        except GuestError:
            return end
        usage = _sum(rows)
        match end:
            case RunFinished(run_id, text):
                return RunFinished(run_id, text or _last_answer(rows), usage)
            case RunFailed(run_id, message):
                return RunFailed(run_id, message, usage)
            case RunAborted(run_id, text):
                return RunAborted(run_id, text, usage)

    async def _sessions(self, **restrictions: bool) -> list[str]:
        answer = await self.call("sessions.list", {"limit": _PAGE, **restrictions})
        return [str(session["key"]) for session in answer.get("sessions") or []]

    async def _history(self, session_key: str, *, limit: int, offset: int = 0) -> dict[str, Any]:
        return await self.call(
            "chat.history", {"sessionKey": session_key, "limit": limit, "offset": offset}
        )

    async def _rows_of(
        self, session_key: str, run_id: str, page: dict[str, Any]
    ) -> list[HistoryRow]:
        """All rows of a run, oldest first, going back page by page to the person's message."""
        rows: list[HistoryRow] = []
        for number in range(1, _PAGES + 1):
            rows = [_row(raw) for raw in page["messages"]] + rows
            begun = any(row.role == "user" and row.run_id == run_id for row in rows)
            if begun or not page.get("hasMore"):
                break
            page = await self._history(session_key, limit=_PAGE, offset=number * _PAGE)
        found: list[HistoryRow] = []
        for row in rows:
            if found and row.role == "user" and row.text.startswith(_TAKEN_UP):
                self._same.setdefault(row.run_id, run_id)
            if self._same.get(row.run_id, row.run_id) == run_id:
                found.append(row)
        return found

    def _as_the_same_run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Tell a run that OpenClaw took up after its restart as the run that was interrupted."""
        session_key, theirs = str(payload.get("sessionKey")), str(payload.get("runId"))
        interrupted = self._interrupted.get(session_key)
        if interrupted not in (None, theirs) and payload.get("runId"):
            self._same.setdefault(theirs, interrupted)
            del self._interrupted[session_key]
        ours = self._same.get(theirs)
        if ours is None:
            return payload
        return {**payload, "runId": ours, "seq": _LATER + int(payload.get("seq") or 0)}


async def until_reloaded(connection: asyncssh.SSHClientConnection, seconds: float) -> None:
    """Wait until OpenClaw says in its log that it works by a configuration that has changed.

    Args:
        connection: From `ssh.connect`.
        seconds: How long at most.
    """
    with contextlib.suppress(TimeoutError, asyncssh.Error):
        async with (
            asyncio.timeout(seconds),
            connection.create_process(
                _FOLLOW_LOG, stderr=asyncssh.DEVNULL, errors="replace"
            ) as log,
        ):
            async for line in log.stdout:
                if _RELOADED in line:
                    return


async def _websocket(connection: asyncssh.SSHClientConnection, port: int) -> ClientConnection:
    """Connect by a Unix socket that only we can open and that is gone right after."""
    with tempfile.TemporaryDirectory(prefix="lebureau-") as folder:
        path = str(Path(folder) / "gateway")
        forward = await connection.forward_local_path_to_port(path, "127.0.0.1", port)
        try:
            return await unix_connect(
                path,
                f"ws://127.0.0.1:{port}/",
                compression=None,
                max_size=_LARGEST_MESSAGE,
                ping_interval=30,
                ping_timeout=60,
                open_timeout=None,
            )
        finally:
            forward.close()


def _row(raw: dict[str, Any]) -> HistoryRow:
    about = raw.get("__openclaw") or {}
    key = str(raw.get("idempotencyKey") or "")
    return HistoryRow(
        role=str(raw.get("role") or ""),
        text=text_of(raw),
        run_id=str(about.get("runId") or key.rpartition(":")[0]),
        usage=usage_of(raw),
        raw=raw,
    )


def _ongoing(page: dict[str, Any]) -> RunOngoing | None:
    run = page.get("inFlightRun")
    return RunOngoing(str(run["runId"]), str(run.get("text") or "")) if run else None


def _end_of(run_id: str, rows: list[HistoryRow]) -> RunEnd:
    """How a run ended that is under way no more, by the last row that it left."""
    last, usage = rows[-1], _sum(rows)
    if not _has_end(last):
        return RunFailed(run_id, _INTERRUPTED, usage)
    if last.raw.get("openclawAbort"):
        return RunAborted(run_id, last.text, usage)
    if last.role == "custom" or last.raw.get("stopReason") == "error":
        return RunFailed(run_id, failures.in_words(last.text), usage)
    return RunFinished(run_id, last.text, usage)


def _has_end(row: HistoryRow) -> bool:
    """Whether this row is the last of a run: an answer, an error or an abort."""
    if row.role == "assistant":
        return row.raw.get("stopReason") != "toolUse"
    return row.role == "custom"


def _usage_of_all(outcome: dict[str, Any]) -> Usage | None:
    """What all the turns of a run took, by the last answer to `agent`; None where it is not told."""
    told: Any = outcome
    for name in ("result", "meta", "agentMeta"):
        told = told.get(name) if isinstance(told, dict) else None
    return usage_of(told) if isinstance(told, dict) and told.get("usage") else None


def _last_answer(rows: list[HistoryRow]) -> str:
    return next((row.text for row in reversed(rows) if row.role == "assistant" and row.text), "")


def _sum(rows: list[HistoryRow]) -> Usage:
    return sum((row.usage for row in rows if row.role == "assistant"), Usage())
