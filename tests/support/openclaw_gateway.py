"""The real OpenClaw gateway, run natively on this machine for tests.

It is configured as a desktop's is: the image's own base configuration and policy plugin, with what
`guest.agent_keys` makes of provider keys over it. Only places differ: ports, folders, no browser.
"""

import asyncio
import contextlib
import fcntl
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from image.recipe import PROFILES
from lebureau_app.gateway.egress import HOST_NAME
from lebureau_app.guest import agent_keys
from lebureau_app.guest.inject import AgentKey
from tests.support.node import NODE, NODE_PATH, npm_install
from tests.support.processes import stopped

TOKEN = "token-of-a-test"
VERSION = PROFILES["standard"].openclaw
_FILES = Path(__file__).parents[2] / "image" / "files"
_CACHE = Path.home() / ".cache" / "lebureau-test"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: its port on loopback, its work folder, and where its keys are."""

    port: int
    work: Path
    key_file: Path

    def write_keys(self, keys: Sequence[AgentKey]) -> None:
        """Put these keys in its key file, as `lebureau-guest apply` does: atomically, 0600."""
        _write(self.key_file, agent_keys.key_file(keys, TOKEN))

    def configure(self, keys: Sequence[AgentKey]) -> None:
        """Write its configuration, with which it starts or reloads."""
        _write(self.configuration, _configuration(self, keys))

    @property
    def configuration(self) -> Path:
        """Its configuration's file."""
        return self.key_file.with_name("openclaw.json")


@asynccontextmanager
async def running(folder: Path, keys: Sequence[AgentKey]) -> AsyncIterator[Gateway]:
    """Run a gateway with these keys until the end of the block.

    Args:
        folder: An empty folder for everything it writes.
        keys: Its provider keys; a base URL on this machine is used as it is.
    """
    program = await asyncio.to_thread(_installed, VERSION)
    gateway = Gateway(_free_port(), folder / "work", folder / "keys.json")
    gateway.work.mkdir()
    gateway.write_keys(keys)
    gateway.configure(keys)
    environment = {
        "PATH": NODE_PATH,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OPENCLAW_STATE_DIR": str(folder / "state"),
        "OPENCLAW_CONFIG_PATH": str(gateway.configuration),
        "OPENCLAW_NO_RESPAWN": "1",
        "DO_NOT_TRACK": "1",
        "NODE_COMPILE_CACHE": str(_CACHE / "compiled"),
    }
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            NODE,
            program,
            "gateway",
            "run",
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _until_ready(gateway.port, process, log)
        yield gateway
    finally:
        await stopped(process, grace=20)


def _installed(version: str) -> Path:
    """OpenClaw's program, installed into a cache folder at the first call (about 25 s)."""
    home = _CACHE / f"openclaw-{version}"
    program = Path("node_modules", "openclaw", "openclaw.mjs")
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / program).exists():
            draft = Path(tempfile.mkdtemp(dir=_CACHE))
            npm_install(f"openclaw@{version}", draft)
            shutil.rmtree(home, ignore_errors=True)
            draft.rename(home)
    return home / program


def _write(file: Path, document: dict[str, Any]) -> None:
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document))
    draft.replace(file)


def _configuration(gateway: Gateway, keys: Sequence[AgentKey]) -> dict[str, Any]:
    base = json.loads((_FILES / "etc" / "lebureau" / "openclaw.base.json").read_text())
    places = {
        "gateway": {"port": gateway.port},
        "secrets": {"providers": {"lbfile": {"path": str(gateway.key_file)}}},
        "agents": {"defaults": {"workspace": str(gateway.work)}},
        "browser": {"enabled": False},
        "plugins": {"load": {"paths": [str(_FILES / "opt" / "lebureau" / "lebureau-policy")]}},
    }
    overlay = json.dumps(agent_keys.configuration(keys)).replace(HOST_NAME, "127.0.0.1")
    return _merged(_merged(base, places), json.loads(overlay))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            value = _merged(below, value)
        merged[name] = value
    return merged


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


async def _until_ready(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(240):
        while process.returncode is None:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                answer = await client.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
                if answer.json().get("ready"):
                    return
            await asyncio.sleep(0.2)
    raise RuntimeError(f"the gateway ended: {await asyncio.to_thread(log.read_text)}")
