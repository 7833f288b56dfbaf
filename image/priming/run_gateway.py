"""Inside the image: bring OpenClaw's gateway up, let it answer once and forget it, and take it down.

Usage, as the desktop's user, in a network with only a loopback::

    python3 - COMPILE_CACHE prime
    python3 - RECORDS record

To prime happens once for each way in which desktops run it, since V8 keeps what it has compiled by its
flags. What stays is the compile cache and an empty, migrated state database; whatever a run wrote
about itself, identities above all, is removed. To record needs one run with the recorder loaded.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

READY_URL = "http://127.0.0.1:18789/readyz"
READY_TIMEOUT_S = 240
TURN_TIMEOUT_S = 120
STOP_TIMEOUT_S = 90
KEYS = Path("/run/lebureau/keys.json")
STATE = Path.home() / ".openclaw"
DATABASE = STATE / "state" / "openclaw.sqlite"
MIGRATED = DATABASE.with_name("migrated")
"""As in migrated.cjs: says of which version the database is."""

SHARED_TABLES = {"schema_meta", "config_machine_state", "migration_runs", "migration_sources"}
TABLES = """
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
BASE_CONFIG = Path("/etc/lebureau/openclaw.base.json")
GATEWAY = "/usr/local/libexec/lebureau-gateway"
KINDS = ("native", "emulated")
FIXED = {
    "OPENCLAW_NO_RESPAWN": "1",
    "OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED": "1",
    "OPENCLAW_SERVICE_REPAIR_POLICY": "external",
}
SESSION = "agent:main:priming"
ASK = (
    *("openclaw", "agent", "--session-key", SESSION, "--message", "Hello"),
    *("--json", "--timeout", str(TURN_TIMEOUT_S)),
)
FORGET = (
    *("openclaw", "gateway", "call", "sessions.delete"),
    *("--params", json.dumps({"key": SESSION, "deleteTranscript": True})),
)


class Model(BaseHTTPRequestHandler):
    """A model that says "Ready." to everything (OpenAI chat completions, streamed)."""

    def do_POST(self) -> None:
        """Answer one completion."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, finish in (({"role": "assistant", "content": "Ready."}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {
                "id": "1",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "priming",
                "choices": [choice],
            }
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def configure(model_port: int) -> None:
    """Give the gateway the image's configuration, throw-away keys and the model above."""
    KEYS.touch(mode=0o600)
    KEYS.write_text(json.dumps({"gateway": {"token": "priming"}, "providers": {}}))
    config = json.loads(BASE_CONFIG.read_text())
    config["models"]["providers"]["priming"] = {
        "baseUrl": f"http://127.0.0.1:{model_port}/v1",
        "api": "openai-completions",
        "apiKey": "priming",
        "models": [
            {
                "id": "priming",
                "name": "Priming",
                "contextWindow": 128000,
                "maxTokens": 1024,
                "input": ["text"],
                "reasoning": False,
                "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            }
        ],
    }
    config["agents"]["defaults"]["model"] = {"primary": "priming/priming"}
    file = STATE / "openclaw.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))


def is_ready() -> bool:
    """Ask the gateway whether it is ready."""
    try:
        with urllib.request.urlopen(READY_URL, timeout=5) as answer:
            return bool(json.load(answer).get("ready"))
    except (OSError, ValueError):
        return False


def wait_until_ready(gateway: "subprocess.Popen[bytes]") -> None:
    """Wait for the gateway, or exit with what happened."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready():
        if gateway.poll() is not None:
            sys.exit(f"The gateway ended with {gateway.returncode} before it was ready.")
        if time.monotonic() > deadline:
            gateway.kill()
            sys.exit(f"The gateway was not ready after {READY_TIMEOUT_S} s.")
        time.sleep(0.5)


def forget_run() -> None:
    """Remove all state but the schema and the record of migrations done."""
    with closing(sqlite3.connect(DATABASE, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        tables = database.execute(TABLES).fetchall()
        for (table,) in tables:
            if table not in SHARED_TABLES:
                database.execute(f'DELETE FROM "{table}"')  # noqa: S608 - names of the schema
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in STATE.iterdir():
        if path != DATABASE.parent:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in DATABASE.parent.iterdir():
        if path not in (DATABASE, MIGRATED):
            path.unlink()


def prime(compile_cache: str) -> None:
    """Let V8 keep what it compiles, for each way of running it."""
    for kind in KINDS:
        run(kind, {"NODE_COMPILE_CACHE": compile_cache})


def record(folder: str) -> None:
    """Have the recorder in a folder write down there which modules it loads."""
    run(
        "native",
        {"NODE_DISABLE_COMPILE_CACHE": "1"},
        NODE_OPTIONS=f"--require={folder}/record.cjs",
    )


def run(kind: str, environment: dict[str, str], **of_gateway: str) -> None:
    """Start the gateway, ask once, have that forgotten, stop it, and leave only what may be shared.

    Args:
        kind: How desktops run it.
        environment: Variables for it and for the client that asks.
        of_gateway: More, which only it has.
    """
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    configure(model.server_port)
    MIGRATED.unlink(missing_ok=True)  # So that it migrates, and what that takes is compiled, too.
    shared = {**os.environ, **FIXED, **environment}
    gateway = subprocess.Popen([GATEWAY, kind], env=shared | of_gateway)
    wait_until_ready(gateway)
    for command in (ASK, FORGET):
        subprocess.run(command, env=shared, timeout=TURN_TIMEOUT_S + 60, check=True)
    gateway.send_signal(signal.SIGTERM)
    gateway.wait(STOP_TIMEOUT_S)
    model.shutdown()
    KEYS.unlink()
    forget_run()


if __name__ == "__main__":
    folder, purpose = sys.argv[1:]
    {"prime": prime, "record": record}[purpose](folder)
