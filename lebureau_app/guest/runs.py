"""What happens in a run, read from the events of OpenClaw's gateway (wire protocol 4).

`chat` events carry the answer and its end, `agent` events the tools and the state of the run, and
`session.tool` events the tools of a run that another connection has sent (`docs/gateway/protocol` of
OpenClaw 2026.9.6).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

from lebureau_app.guest import failures

Phase = Literal["start", "update", "result", "error"]

READ_EVENTS = ("chat", "agent", "session.tool")
OUTPUT_LIMIT = 16 * 1024
_LINE = 120
_SHORT_LINE = 60


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took: tokens, and the cost in USD as far as the model's price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The agent has begun with the message."""

    run_id: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer.

    Attributes:
        seq: Grows within a run, with gaps; a number already seen is a repetition.
        replace: Whether `text` takes the place of all the text so far.
    """

    run_id: str
    seq: int
    text: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ToolEvent:
    """A tool begins, goes on or ends.

    Attributes:
        call_id: The same for all phases of one call.
        summary: One line for a person.
        input: The tool's arguments.
        output: What it has answered so far, at most `OUTPUT_LIMIT` characters.
    """

    run_id: str
    seq: int
    call_id: str
    name: str
    phase: Phase
    summary: str
    input: dict[str, Any]
    output: str = ""


@dataclass(frozen=True, slots=True)
class RunOngoing:
    """The run is under way; `text` is the answer so far."""

    run_id: str
    text: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run has ended with an answer."""

    run_id: str
    text: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run has ended with an error; `message` is for a person."""

    run_id: str
    message: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class RunAborted:
    """The run was stopped; `text` is what the answer had become."""

    run_id: str
    text: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Activity:
    """What the agent is doing, in one line."""

    text: str


RunEnd = RunFinished | RunFailed | RunAborted
RunEvent = RunStarted | TextDelta | ToolEvent | RunEnd | Activity

IDLE = Activity("Idle")
_THINKING = Activity("Thinking")
_ANSWERING = Activity("Writing an answer")


class RunReader:
    """Turns the gateway's events into ours, in their order; remembers tools until they end."""

    def __init__(self) -> None:
        self._tools: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, str] = {}
        self._started: set[str] = set()
        self._activity = IDLE

    def read(self, event: str, payload: dict[str, Any]) -> Iterator[RunEvent]:
        """What one event of the gateway means; many mean nothing to us.

        Args:
            event: The event's name.
            payload: Its payload.

        Yields:
            Our events. The usage of a run that ends is not known here.
        """
        run_id = payload.get("runId")
        if not isinstance(run_id, str):
            return
        if event == "chat":
            yield from self._chat(run_id, payload)
        elif event in READ_EVENTS:
            yield from self._agent(run_id, payload)

    def _chat(self, run_id: str, payload: dict[str, Any]) -> Iterator[RunEvent]:
        state = payload.get("state")
        if state == "delta":
            yield from self._delta(run_id, payload)
            return
        text = text_of(payload.get("message"))
        if state == "final":
            yield RunFinished(run_id, text)
        elif state == "aborted":
            yield RunAborted(run_id, text or self._answers.get(run_id, ""))
        elif state == "error":
            yield RunFailed(run_id, failures.in_words(str(payload.get("errorMessage") or "")))
        else:
            return
        self._started.discard(run_id)
        self._answers.pop(run_id, None)
        self._tools.clear()
        yield from self._now(IDLE)

    def _delta(self, run_id: str, payload: dict[str, Any]) -> Iterator[RunEvent]:
        text, replace = str(payload.get("deltaText") or ""), bool(payload.get("replace"))
        known = self._answers.get(run_id, "")
        if replace and text.startswith(known):
            text, replace = text[len(known) :], False
        if not text and not replace:
            return
        self._answers[run_id] = text if replace else known + text
        yield from self._now(_ANSWERING)
        yield TextDelta(run_id, _seq(payload), text, replace)

    def _agent(self, run_id: str, payload: dict[str, Any]) -> Iterator[RunEvent]:
        data = payload.get("data")
        if not isinstance(data, dict):
            return
        match payload.get("stream"), data.get("phase"):
            case "lifecycle", "start":
                if run_id not in self._started:
                    self._started.add(run_id)
                    yield RunStarted(run_id)
                yield from self._now(_THINKING)
            case "run_status", "retrying":
                yield from self._now(_retrying(data))
            case "tool", ("start" | "update" | "result") as phase:
                yield from self._tool(run_id, _seq(payload), phase, data)

    def _tool(
        self, run_id: str, seq: int, phase: Phase, data: dict[str, Any]
    ) -> Iterator[RunEvent]:
        name, call_id = str(data.get("name") or "tool"), str(data.get("toolCallId") or "")
        if phase == "start":
            arguments = data.get("args")
            self._tools[call_id] = arguments if isinstance(arguments, dict) else {}
            yield from self._now(Activity(activity_of(name, self._tools[call_id])))
        arguments = self._tools.get(call_id, {})
        result = data.get("partialResult") if phase == "update" else data.get("result")
        if phase == "result":
            self._tools.pop(call_id, None)
            if data.get("isError"):
                phase = "error"
        yield ToolEvent(
            run_id,
            seq,
            call_id,
            name,
            phase,
            summary_of(name, arguments, result),
            arguments,
            text_of(result)[:OUTPUT_LIMIT],
        )
        if phase in ("result", "error") and not self._tools:
            yield from self._now(_THINKING)

    def _now(self, activity: Activity) -> Iterator[Activity]:
        if activity != self._activity:
            self._activity = activity
            yield activity


def text_of(message: Any) -> str:
    """The plain text of a message or a tool result, whose content is a string or a list."""
    content = message.get("content") if isinstance(message, dict) else message
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "\n".join(str(part.get("text") or "") for part in parts)


def usage_of(row: dict[str, Any]) -> Usage:
    """The usage of one row of the history; cached input counts as input."""
    usage = row.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    cost = usage.get("cost")
    total = cost.get("total") if isinstance(cost, dict) else cost
    return Usage(
        sum(int(usage.get(kind) or 0) for kind in ("input", "cacheRead", "cacheWrite")),
        int(usage.get("output") or 0),
        Decimal(str(total or 0)),
    )


def summary_of(name: str, arguments: dict[str, Any], result: Any = None) -> str:
    """One line on a call of a tool: what it was given, and a bad end of a command."""
    subject = _subject(name, arguments)
    line = _one_line(f"{name}: {subject}" if subject else name, _LINE)
    details = result.get("details") if isinstance(result, dict) else None
    code = details.get("exitCode") if isinstance(details, dict) else None
    return f"{line} (exit code {code})" if code else line


def activity_of(name: str, arguments: dict[str, Any]) -> str:
    """What the agent is doing while it uses this tool."""
    subject = _one_line(_subject(name, arguments), _SHORT_LINE)
    match name:
        case "exec" | "process":
            words = "Running"
        case "browser":
            host = _host_of(_subject(name, arguments))
            return f"Browsing {host}" if host else "Using the browser"
        case "web_fetch":
            words = "Reading"
        case "read":
            words = "Reading"
        case "write":
            words = "Writing"
        case "edit" | "apply_patch":
            words = "Editing"
        case "computer":
            return "Using the screen"
        case _:
            return f"Using {name}"
    return f"{words} {subject}".rstrip()


def _subject(name: str, arguments: dict[str, Any]) -> str:
    """What a call is about: the first of its arguments that says so."""
    telling = ("command", "url", "targetUrl", "path", "file_path", "query", "action", "sessionId")
    return next((str(arguments[key]) for key in telling if arguments.get(key)), "")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _one_line(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _retrying(data: dict[str, Any]) -> Activity:
    attempt, most = data.get("retryAttempt"), data.get("maxRetries")
    reason = "limits this key" if data.get("reason") == "rate_limit" else "does not answer"
    return Activity(f"The model {reason}; trying again ({attempt} of {most})")


def _seq(payload: dict[str, Any]) -> int:
    seq = payload.get("seq")
    return seq if isinstance(seq, int) else 0
