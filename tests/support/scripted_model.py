"""A scripted model behind the OpenAI-compatible HTTP API, for tests and demonstrations.

    python -m tests.support.scripted_model --port 18900

It serves `POST /v1/chat/completions` (streamed or not), `GET /v1/models` and `GET /requests` (what
it has seen). What it answers is written into the person's message as directives:

    [[exec: CMD]]          call the tool `exec` with this command
    [[tool: NAME {JSON}]]  call the tool NAME with these arguments
    [[say: TEXT]]          say this before the first call of a tool
    [[slow: N]]            stream N words, one every 0.2 s
    [[hold]]               stream two words, then wait for `release()` (or `POST /release`)
    [[status: 401]]        answer with this HTTP status
    [[hang: S]]            wait S seconds before the first byte

Several `exec` and `tool` directives are carried out in their order, one each model turn; then the
answer is `DONE: ` and the last tool result. A message without a directive is answered `ECHO: ` and
the message. Give it throw-away keys only: it records the Authorization header of every request.
"""

import argparse
import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

MODEL = "scripted-1"
LOOPBACK = "127.0.0.1"
HOLD_WORDS = 2
_DIRECTIVE = re.compile(r"\[\[(exec|tool|say|slow|hold|status|hang)(?::\s*(.*?))?\]\]", re.S)
_CONTEXT = "⟦openclaw:ctx⟧"
_NOT_THE_PERSON = ("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>", "Image(s) from tool result")


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it came in; `prompt` is the person's last message."""

    authorization: str | None
    model: str | None
    prompt: str
    tools: list[str]
    results: list[str]


@dataclass(slots=True)
class Script:
    """What to answer to one request; delays in seconds."""

    text: str = ""
    tool: tuple[str, dict[str, Any]] | None = None
    status: int = 200
    hang: float = 0
    pace: float = 0
    hold: bool = False

    @property
    def pieces(self) -> list[str]:
        """The answer as it is streamed."""
        return re.findall(r"\S+\s*", self.text)


def script_for(messages: list[dict[str, Any]]) -> Script:
    """Read the directives of the person's last message and what has been done of them."""
    position, prompt = _last_prompt(messages)
    results = tool_results(messages[position + 1 :])
    directives = _DIRECTIVE.findall(prompt)
    given = dict(directives)
    calls = [(kind, value) for kind, value in directives if kind in ("exec", "tool")]
    script = Script(hang=float(given.get("hang", 0)))
    if "status" in given:
        script.status = int(given["status"])
    elif len(results) < len(calls):
        script.tool = _tool_call(*calls[len(results)])
        script.text = "" if results else given.get("say", "")
    elif "slow" in given or "hold" in given:
        script.text = " ".join(f"word{n}" for n in range(int(given.get("slow") or 5)))
        script.pace = 0.2 if "slow" in given else 0
        script.hold = "hold" in given
    else:
        script.text = f"DONE: {results[-1][:400]}" if results else f"ECHO: {prompt[-400:]}"
    return script


def tool_results(messages: list[dict[str, Any]]) -> list[str]:
    """The texts of the tool results among these messages."""
    return [_text(m.get("content")) for m in messages if m.get("role") == "tool"]


def _tool_call(kind: str, value: str) -> tuple[str, dict[str, Any]]:
    if kind == "exec":
        return "exec", {"command": value.strip()}
    name, _, arguments = value.strip().partition(" ")
    return name, json.loads(arguments or "{}")


def _last_prompt(messages: list[dict[str, Any]]) -> tuple[int, str]:
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].get("role") != "user":
            continue
        text = _text(messages[position].get("content"))
        if not text.startswith(_NOT_THE_PERSON):
            return position, _without_context(text)
    return -1, ""


def _without_context(text: str) -> str:
    """The person's own words, without what OpenClaw puts before and after them."""
    if _CONTEXT in text:
        text = text.partition(_CONTEXT)[2].partition("```\n\n")[2]
    return text.partition("\n\nRuntime: agent=")[0].strip()


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


@dataclass(slots=True)
class ScriptedModel:
    """The model and what it has seen.

    Attributes:
        requests: Every completion request, oldest first.
        cut_off: How many streams the client closed before their end.
        files: A folder to serve under `/files`, such as a Git repository for its dumb protocol.
    """

    requests: list[SeenRequest] = field(default_factory=list)
    cut_off: int = 0
    files: Path | None = None
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def release(self) -> None:
        """Let the answers go on that `[[hold]]` holds."""
        self._gate.set()
        self._gate = asyncio.Event()

    async def until_cut_off(self, count: int = 1, timeout: float = 20) -> None:
        """Wait until clients have closed `count` streams before their end."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self.cut_off >= count)

    def app(self) -> FastAPI:
        """The HTTP application."""
        app = FastAPI(title="Scripted model")
        app.add_api_route("/v1/models", self._models)
        app.add_api_route("/v1/chat/completions", self._complete, methods=["POST"])
        app.add_api_route("/requests", self._seen)
        app.add_api_route("/release", self._release, methods=["POST"])
        if self.files:
            app.mount("/files", StaticFiles(directory=self.files))
        return app

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on loopback; a port of 0 takes a free one.

        Yields:
            The base URL, ending in `/v1`.
        """
        config = uvicorn.Config(
            self.app(), host=LOOPBACK, port=port, log_level="warning", lifespan="off"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        try:
            while not server.started:
                if task.done():
                    task.result()
                await asyncio.sleep(0.01)
            bound = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://{LOOPBACK}:{bound}/v1"
        finally:
            self.release()
            server.should_exit = server.force_exit = True
            await task

    async def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}

    async def _seen(self) -> list[dict[str, Any]]:
        return [asdict(request) for request in self.requests]

    async def _release(self) -> dict[str, bool]:
        self.release()
        return {"ok": True}

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        messages = body.get("messages", [])
        position, prompt = _last_prompt(messages)
        self.requests.append(
            SeenRequest(
                authorization=request.headers.get("authorization"),
                model=body.get("model"),
                prompt=prompt,
                tools=[tool["function"]["name"] for tool in body.get("tools", [])],
                results=tool_results(messages[position + 1 :]),
            )
        )
        script = script_for(messages)
        if script.status != 200:
            error = {"message": f"scripted {script.status}", "type": "scripted"}
            return JSONResponse({"error": error}, status_code=script.status)
        if body.get("stream"):
            return StreamingResponse(self._stream(script, body), media_type="text/event-stream")
        await asyncio.sleep(script.hang)
        choice = {"index": 0, "message": _message(script), "finish_reason": _finish(script)}
        return JSONResponse({**_head(body, ""), "choices": [choice], "usage": _usage(body, script)})

    async def _stream(self, script: Script, body: dict[str, Any]) -> AsyncIterator[str]:
        head = _head(body, ".chunk")

        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"

        gate = self._gate
        try:
            await asyncio.sleep(script.hang)
            yield chunk({"role": "assistant", "content": ""})
            for number, piece in enumerate(script.pieces):
                if script.hold and number == HOLD_WORDS:
                    await gate.wait()
                yield chunk({"content": piece})
                await asyncio.sleep(script.pace)
            if script.tool:
                yield chunk({"tool_calls": [{"index": 0, **_message(script)["tool_calls"][0]}]})
            yield chunk({}, _finish(script))
            tail = {**head, "choices": [], "usage": _usage(body, script)}
            yield f"data: {json.dumps(tail)}\n\ndata: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.shield(self._count_cut_off())
            raise

    async def _count_cut_off(self) -> None:
        async with self._changed:
            self.cut_off += 1
            self._changed.notify_all()


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:12]}",
        "object": f"chat.completion{kind}",
        "created": int(time.time()),
        "model": body.get("model"),
    }


def _message(script: Script) -> dict[str, Any]:
    if not script.tool:
        return {"role": "assistant", "content": script.text}
    name, arguments = script.tool
    call = {
        "id": f"call_{uuid.uuid4().hex[:10]}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return {"role": "assistant", "content": script.text or None, "tool_calls": [call]}


def _finish(script: Script) -> str:
    return "tool_calls" if script.tool else "stop"


def _usage(body: dict[str, Any], script: Script) -> dict[str, int]:
    """Counts that grow with the texts: a token is four characters here."""
    prompt = max(1, len(json.dumps(body.get("messages", []))) // 4)
    answer = max(1, len(json.dumps(_message(script))) // 4)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def main() -> None:
    """Serve on loopback until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=18900)
    parser.add_argument("--files", type=Path)
    chosen = parser.parse_args()
    application = ScriptedModel(files=chosen.files).app()
    uvicorn.run(application, host=LOOPBACK, port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
