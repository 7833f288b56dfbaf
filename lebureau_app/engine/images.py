"""Builds the golden image when there is none for this version, and again after a failure.

The build is a process of its own. A server that is stopped ends it; one that is killed leaves it
running, and the next server follows it to its end by the file that it writes its progress into.
Whether one is at work is told by the lock that every build holds on the folder of images.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import image
from lebureau_app.engine.waiting import wait_until_set
from lebureau_app.services import images
from lebureau_app.services.images import Image
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
TELL_EVERY = 2.0
RETRIES = (60.0, 300.0, 900.0, 3600.0)
"""Seconds between attempts; the last one stays."""

_GRACE = 10.0


class ImageBuilder:
    """Keeps this version's golden image in place.

    Args:
        settings: The settings of this process.
        command: How a build is started, for tests.
    """

    def __init__(self, settings: Settings, command: list[str] | None = None) -> None:
        self._settings = settings
        self._command = command or _command(settings)
        self._progress = settings.home / "logs" / "image-build.jsonl"
        self._state: Image | None = None
        self._told = 0.0
        self._requested = asyncio.Event()
        images.provide(self)

    def under_way(self) -> Image | None:
        """What is being built, or has failed and is tried again."""
        return self._state

    def request(self) -> None:
        """Build now what is missing, also before a retry is due."""
        self._requested.set()

    async def run(self) -> None:
        """Build when there is something to build, until cancelled."""
        failures = 0
        while True:
            self._requested.clear()
            wait = None
            if not images.has_current():
                failures = 0 if await self._build() else failures + 1
                wait = RETRIES[min(failures, len(RETRIES)) - 1] if failures else None
            await wait_until_set(self._requested, wait)

    async def _build(self) -> bool:
        """One attempt, ours or one that is already at work; whether the image is there now."""
        self._state = images.recipe_image()
        await self._tell()
        try:
            if self._is_at_work():
                log.info("A build of the golden image is at work already: following it.")
                await self._follow(self._is_at_work)
            else:
                await self._build_ourselves()
        except OSError as error:
            self._note({"error": f"The build could not be started: {error}.", "hint": ""})
        if images.has_current():
            log.info("The golden image is ready.")
            self._state = None
            await images.announce(next(each for each in images.ready() if each.current))
            return True
        self._fail()
        await self._tell()
        return False

    async def _build_ourselves(self) -> None:
        self._progress.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._progress.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=Path(image.__file__).parent.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            await self._follow(lambda: process.returncode is None)
        finally:
            if process.returncode is None:
                await _end(process)

    async def _follow(self, at_work: Callable[[], bool]) -> None:
        """Take in what the build says until it is over."""
        position = 0
        while True:
            going_on = at_work()
            position = await self._take_in(position)
            if not going_on:
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _take_in(self, position: int) -> int:
        if not self._progress.exists():
            return position
        with self._progress.open("rb") as said:
            said.seek(position)
            text = said.read()
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                self._note(json.loads(line))
        if whole:
            await self._tell(at_most=TELL_EVERY)
        return position + len(whole)

    def _note(self, said: dict[str, Any]) -> None:
        """Take one line of the build into the state."""
        assert self._state is not None
        if "error" in said:
            self._state = replace(self._state, error=said["error"], hint=said.get("hint") or None)
            return
        before = (self._state.progress or {}).get("step")
        progress = {name: said.get(name) for name in ("step", "percent", "message")}
        self._state = replace(self._state, progress=progress)
        if said.get("step") != before:
            self._told = 0.0
            log.info("Golden image: %s", said.get("message"))

    def _fail(self) -> None:
        assert self._state is not None
        error = self._state.error or "The build of the golden image ended without an image."
        hint = self._state.hint or f"Its log is {self._settings.home}/logs/image-build.log."
        self._state = replace(self._state, status="failed", progress=None, error=error, hint=hint)
        log.error("%s %s", error, hint)

    async def _tell(self, at_most: float = 0.0) -> None:
        """Tell every page, `at_most` so many seconds apart."""
        now = time.monotonic()
        if self._state is not None and now - self._told >= at_most:
            self._told = now
            await images.announce(self._state)

    def _is_at_work(self) -> bool:
        """Whether some process holds the lock of the folder of images (flock(2))."""
        with contextlib.suppress(FileNotFoundError):
            with (self._settings.images_dir / ".lock").open("r") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a build with everything that it started: gracefully first, then whatever is left."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE)


def _command(settings: Settings) -> list[str]:
    build = [sys.executable, "-m", "image.build", "--output", str(settings.images_dir)]
    build += ["--log", str(settings.home / "logs" / "image-build.log")]
    if settings.debian_mirror:
        build += ["--mirror", settings.debian_mirror]
    return ["nice", "-n", "10", *build]
