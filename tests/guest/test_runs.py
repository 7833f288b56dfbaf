"""What the gateway's events mean, without a gateway."""

from decimal import Decimal
from typing import Any

import pytest

from lebureau_app.guest import failures
from lebureau_app.guest.runs import (
    OUTPUT_LIMIT,
    Activity,
    RunAborted,
    RunEvent,
    RunFinished,
    RunReader,
    RunStarted,
    TextDelta,
    ToolEvent,
    Usage,
    activity_of,
    summary_of,
    text_of,
    usage_of,
)


def delta(text: str, seq: int = 1, **more: Any) -> tuple[str, dict[str, Any]]:
    return "chat", {"runId": "r", "seq": seq, "state": "delta", "deltaText": text, **more}


def agent(stream: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return "agent", {"runId": "r", "seq": 7, "stream": stream, "data": data}


def read(*events: tuple[str, dict[str, Any]]) -> list[RunEvent]:
    reader = RunReader()
    return [ours for name, payload in events for ours in reader.read(name, payload)]


def without_activity(events: list[RunEvent]) -> list[RunEvent]:
    return [event for event in events if not isinstance(event, Activity)]


def test_deltas_pass_with_their_number():
    events = without_activity(read(delta("one", 3), delta(" two", 5)))
    assert events == [TextDelta("r", 3, "one"), TextDelta("r", 5, " two")]


def test_a_full_refresh_that_only_adds_is_an_addition():
    events = without_activity(read(delta("one"), delta("one two", 2, replace=True)))
    assert events[-1] == TextDelta("r", 2, " two")


def test_a_full_refresh_that_changes_what_was_said_replaces_it():
    events = without_activity(read(delta("one"), delta("other", 2, replace=True)))
    assert events[-1] == TextDelta("r", 2, "other", replace=True)


def test_a_refresh_that_changes_nothing_is_not_told():
    assert len(without_activity(read(delta("one"), delta("one", 2, replace=True)))) == 1


def test_a_run_starts_once_whatever_openclaw_retries():
    start = agent("lifecycle", phase="start")
    assert without_activity(read(start, start)) == [RunStarted("r")]


def test_a_retry_is_told_as_activity():
    events = read(agent("run_status", phase="retrying", retryAttempt=2, maxRetries=8))
    assert events == [Activity("The model does not answer; trying again (2 of 8)")]


def test_a_tool_from_start_to_end():
    events = read(
        agent("tool", phase="start", name="exec", toolCallId="c", args={"command": "ls"}),
        agent("tool", phase="update", name="exec", toolCallId="c", partialResult={"content": "a"}),
        agent("tool", phase="result", name="exec", toolCallId="c", result={"content": "a b"}),
        ("chat", {"runId": "r", "state": "final", "message": {"content": "done"}}),
    )
    assert events == [
        Activity("Running ls"),
        ToolEvent("r", 7, "c", "exec", "start", "exec: ls", {"command": "ls"}),
        ToolEvent("r", 7, "c", "exec", "update", "exec: ls", {"command": "ls"}, "a"),
        ToolEvent("r", 7, "c", "exec", "result", "exec: ls", {"command": "ls"}, "a b"),
        Activity("Thinking"),
        RunFinished("r", "done"),
        Activity("Idle"),
    ]


def test_output_of_a_tool_is_bounded():
    result = {"content": [{"type": "text", "text": "x" * (OUTPUT_LIMIT + 1)}]}
    (tool, *_) = read(agent("tool", phase="result", name="exec", toolCallId="c", result=result))
    assert isinstance(tool, ToolEvent)
    assert len(tool.output) == OUTPUT_LIMIT


def test_an_aborted_run_keeps_what_it_had_said():
    events = without_activity(read(delta("half"), ("chat", {"runId": "r", "state": "aborted"})))
    assert events[-1] == RunAborted("r", "half")


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("chat", {}),
        ("chat", {"runId": 1, "state": "final"}),
        ("chat", {"runId": "r", "state": "new in a later version"}),
        ("agent", {"runId": "r"}),
        ("agent", {"runId": "r", "stream": "tool", "data": None}),
        ("agent", {"runId": "r", "stream": "tool", "data": {"phase": "other"}}),
        ("presence", {"runId": "r"}),
    ],
)
def test_what_is_not_known_means_nothing(event: str, payload: dict[str, Any]):
    assert read((event, payload)) == []


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("exec", {"command": "git  clone\nurl"}, "Running git clone url"),
        ("browser", {"action": "open", "url": "https://example.com/a?b"}, "Browsing example.com"),
        ("browser", {"action": "act"}, "Using the browser"),
        ("read", {"path": "a.txt"}, "Reading a.txt"),
        ("write", {"path": "a.txt", "content": "…"}, "Writing a.txt"),
        ("edit", {"path": "a.txt"}, "Editing a.txt"),
        ("computer", {"action": "type"}, "Using the screen"),
        ("unheard_of", {}, "Using unheard_of"),
        ("exec", {"command": "x" * 500}, f"Running {'x' * 59}…"),
        ("browser", {"url": "http://[broken"}, "Using the browser"),
    ],
)
def test_activity_of_a_tool(name: str, arguments: dict[str, Any], words: str):
    assert activity_of(name, arguments) == words


def test_a_summary_tells_the_exit_code_of_a_failure():
    assert summary_of("exec", {"command": "x"}, {"details": {"exitCode": 2}}) == (
        "exec: x (exit code 2)"
    )
    assert summary_of("exec", {"command": "x"}, {"details": {"exitCode": 0}}) == "exec: x"


def test_text_of_strings_lists_and_nothing():
    image = {"type": "image", "data": "…"}
    assert text_of({"content": "a"}) == "a"
    assert text_of({"content": [{"type": "text", "text": "a"}, image]}) == "a"
    assert text_of(None) == ""


def test_usage_counts_cached_input():
    row = {
        "usage": {
            "input": 1,
            "cacheRead": 2,
            "cacheWrite": 3,
            "output": 4,
            "cost": {"total": 0.1},
        }
    }
    assert usage_of(row) + usage_of({}) == Usage(6, 4, Decimal("0.1"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("⚠️ lab/m request failed (authentication failed, HTTP 401). Re-auth", "rejected the key"),
        (
            'Inline API key for provider "lab" is temporarily disabled after a provider auth',
            "pauses",
        ),
        ('No API key found for provider "anthropic". Auth store: …', "has no key"),
        ("Secret owner provider:lab is configured but unavailable", "has no key"),
        ("LLM request failed: network connection error.", "could not be reached"),
        (
            "LLM request failed: DNS lookup for the provider endpoint failed.",
            "could not be reached",
        ),
        ("⚠️ API rate limit reached. Please try again later.", "limits how much"),
        ("⚠️ x request failed (provider internal error, HTTP 500).", "has trouble"),
        ("⚠️ LLM request failed (request format rejected, HTTP 400).", "refused the request"),
        ("provider rejected the request schema or tool payload.", "refused the request"),
        ("HTTP 403 forbidden", "refused this key"),
        ("", "without saying why"),
    ],
)
def test_failures_are_told_to_the_person(theirs: str, ours: str):
    assert ours in failures.in_words(theirs)


def test_an_unknown_failure_is_passed_on_without_decoration():
    assert failures.in_words("⚠️ Odd.\nTo view logs, run `openclaw logs`") == "Odd."
