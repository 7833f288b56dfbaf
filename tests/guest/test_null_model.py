"""The golden machine's model, through each of its APIs and as the proxy that it pretends to be."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lebureau_app.guest import null_model

PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
RESULTS = [
    {"role": "tool", "content": "done"},
    {"role": "user", "content": [{"type": "tool_result", "content": "done"}]},
    {"type": "function_call_output", "output": "done"},
]


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    program = [sys.executable, null_model.__file__, "127.0.0.1", "0"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()
        assert process.wait(10) == 0


def ask(proxy: str, path: str, *said: Any) -> str:
    body = {"input" if path.endswith("responses") else "messages": list(said)}
    with httpx.Client(proxy=proxy, trust_env=False) as client:
        answer = client.post(f"http://model.example{path}", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    return answer.text


@pytest.mark.parametrize("path", PATHS)
def test_it_answers_whatever_host_is_asked(proxy: str, path: str) -> None:
    answer = ask(proxy, path, {"role": "user", "content": "Hello."})
    assert null_model.ANSWER in answer
    assert "exec" not in answer


@pytest.mark.parametrize("path", PATHS)
def test_events_are_json_and_name_their_type(proxy: str, path: str) -> None:
    for event in ask(proxy, path, {"role": "user", "content": null_model.CALL}).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.splitlines())
        if fields and fields["data"] != "[DONE]":
            content = json.loads(fields["data"])
            assert content.get("type", fields.get("event")) == fields.get("event")


@pytest.mark.parametrize(("path", "result"), [*zip(PATHS, RESULTS, strict=True)])
def test_it_calls_a_tool_once(proxy: str, path: str, result: Any) -> None:
    wish = {"role": "user", "content": null_model.CALL}
    assert "exec" in ask(proxy, path, wish, {"role": "user", "content": "context"})
    assert "exec" not in ask(proxy, path, wish, result)


def test_an_unknown_request_is_refused(proxy: str) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.post(f"{proxy}/v1/embeddings", json={}).status_code == 404


def test_a_tunnel_ends_at_the_model_itself(proxy: str) -> None:
    """OpenClaw opens a tunnel also for plain HTTP."""
    port = int(proxy.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"CONNECT model.example:80 HTTP/1.1\r\nConnection: close\r\n\r\n")
        stream = connection.makefile("rb")
        assert b" 200 " in stream.readline()
        while stream.readline().strip():
            pass
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        assert b"message_start" in stream.read()
