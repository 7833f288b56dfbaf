"""A model that says nothing of interest, for the machine that becomes a golden one.

Runs inside the guest with nothing but Python's standard library, and serves until its standard input
ends. It stands where the guest's way out is: whatever host a request is for, it answers itself. It
speaks the streamed form of the three APIs that OpenClaw uses for our providers: OpenAI's chat
completions and responses, and Anthropic's messages. Asked for `CALL`, it first calls the tool `exec`.
"""

import json
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALL = "Use your tool once."
ANSWER = "Ready."
COMMAND = {"command": "true"}
RESULTS = ('"role": "tool"', '"tool_result"', '"function_call_output"')

Event = tuple[str, dict[str, Any]]


def completion(call: bool) -> Iterable[Event]:
    """One answer of `POST /chat/completions`."""
    function = {"name": "exec", "arguments": json.dumps(COMMAND)}
    delta: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    if call:
        delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    for part, reason in ((delta, None), ({}, "tool_calls" if call else "stop")):
        choice = {"index": 0, "delta": part, "finish_reason": reason}
        about = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "null"}
        yield "", about | {"choices": [choice]}
    yield "", about | {"choices": [], "usage": usage}


def message(call: bool) -> Iterable[Event]:
    """One answer of `POST /messages`."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    begun = {"id": "m", "type": "message", "role": "assistant", "model": "null", "content": []}
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": ANSWER}
    if call:
        block = {"type": "tool_use", "id": "c1", "name": "exec", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(COMMAND)}
    end = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    for name, content in (
        ("message_start", {"message": begun | {"stop_reason": None, "usage": usage}}),
        ("content_block_start", {"index": 0, "content_block": block}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": usage}),
        ("message_stop", {}),
    ):
        yield name, {"type": name} | content


def response(call: bool) -> Iterable[Event]:
    """One answer of `POST /responses`."""
    begun = {"id": "r", "object": "response", "model": "null", "status": "in_progress"}
    arguments = json.dumps(COMMAND)
    part = {"type": "output_text", "text": ANSWER, "annotations": []}
    item: dict[str, Any] = {"type": "message", "id": "i", "role": "assistant", "content": [part]}
    deltas: list[Event] = [
        ("response.content_part.added", {"content_index": 0, "part": part | {"text": ""}}),
        ("response.output_text.delta", {"content_index": 0, "delta": ANSWER}),
        ("response.output_text.done", {"content_index": 0, "text": ANSWER}),
        ("response.content_part.done", {"content_index": 0, "part": part}),
    ]
    empty: dict[str, Any] = {"content": []}
    if call:
        item = {"type": "function_call", "id": "i", "call_id": "c1", "name": "exec"}
        item |= {"arguments": arguments}
        empty = {"arguments": ""}
        deltas = [
            ("response.function_call_arguments.delta", {"delta": arguments}),
            ("response.function_call_arguments.done", {"arguments": arguments}),
        ]
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    done = {"status": "completed"}
    for name, content in (
        ("response.created", {"response": begun | {"output": []}}),
        ("response.output_item.added", {"output_index": 0, "item": item | empty}),
        *((name, {"output_index": 0, "item_id": "i"} | content) for name, content in deltas),
        ("response.output_item.done", {"output_index": 0, "item": item | done}),
        ("response.completed", {"response": begun | done | {"output": [item], "usage": usage}}),
    ):
        yield name, {"type": name} | content


ANSWERS = {"/chat/completions": completion, "/messages": message, "/responses": response}


class Model(BaseHTTPRequestHandler):
    """Answers every request for a turn."""

    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        """Be the host behind the proxy oneself: the next request comes on the same connection."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = False

    def do_POST(self) -> None:
        """Answer one turn as server-sent events."""
        request = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = next((ANSWERS[end] for end in ANSWERS if self.path.endswith(end)), None)
        if answer is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, content in answer(wants_call(json.loads(request))):
            line = f"event: {name}\n" if name else ""
            self.wfile.write(f"{line}data: {json.dumps(content)}\n\n".encode())
        if answer is completion:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def wants_call(request: dict[str, Any]) -> bool:
    """Whether a tool was asked for and none has answered since."""
    said = [json.dumps(part) for part in request.get("messages") or request.get("input") or []]
    asked = max((number for number, text in enumerate(said) if CALL in text), default=len(said))
    return asked < len(said) and not any(mark in text for text in said[asked:] for mark in RESULTS)


def main(host: str, port: str) -> None:
    """Serve at an address, told on standard output, until standard input ends."""
    server = ThreadingHTTPServer((host, int(port)), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
