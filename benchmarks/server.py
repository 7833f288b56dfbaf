"""A server under measurement: started on a throw-away home, asked over REST, taken away."""

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lebureau"
EMAIL, PASSWORD = "bench@example.com", "a password for benchmarks"
LIGHTS = ("machine", "ssh", "screen", "terminal", "agent")
PICTURE = "picture"
LIMIT = 1500
LOOK_EVERY = 0.05
PICTURE_EVERY = 0.1


class Bench:
    """A server under measurement, and what was measured.

    Attributes:
        figures: Name of a figure to its values, in the order of their first measurement.
        log: What the server says.
    """

    def __init__(self, url: str, log: Path, figures: dict[str, list[float]] | None = None) -> None:
        self.url = url
        self.log = log
        self.http = httpx.Client(base_url=url, headers={"Origin": url}, timeout=330)
        self.figures = {} if figures is None else figures

    def note(self, name: str, value: float) -> None:
        """Keep a figure."""
        self.figures.setdefault(name, []).append(value)
        print(f"  {name:<34}{value:9.2f}", flush=True)

    def sign_in(self) -> None:
        """Sign in as the owner."""
        form = {"email": EMAIL, "password": PASSWORD}
        self.call("POST", "/auth/login", data=form, headers={"Accept": "application/json"})

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Call the API; an error ends the benchmark."""
        answer = self.http.request(method, path, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def until(self, look: Callable[[], bool], every: float = LOOK_EVERY) -> float:
        """Seconds until something holds; looks `every` so many seconds."""
        began = time.perf_counter()
        while not look():
            if time.perf_counter() - began > LIMIT:
                raise TimeoutError("the benchmark waited too long")
            time.sleep(every)
        return time.perf_counter() - began

    def watch_lights(
        self, desktop_id: str, prefix: str, began: float, lights: tuple[str, ...] = LIGHTS
    ) -> None:
        """Note when each light comes on, in seconds since `began` (`time.perf_counter`).

        `PICTURE` among them stands for the first picture of the screen, live or not.
        """
        channels = tuple(light for light in lights if light != PICTURE)
        with ThreadPoolExecutor(1) as aside:
            picture = aside.submit(self._first_picture, desktop_id) if PICTURE in lights else None
            for light, moment in self.lights({desktop_id}, channels):
                self.note(f"{prefix}: {light}", moment - began)
        if picture:
            self.note(f"{prefix}: {PICTURE}", picture.result() - began)

    def lights(self, desktop_ids: set[str], lights: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        """Each light of some desktops as it comes on, and when, until all are on.

        They come as events: to ask for them twenty times a second costs what is measured.
        """
        missing = {(desktop_id, light) for desktop_id in desktop_ids for light in lights}
        with self.http.stream("GET", "/api/events") as stream:
            for desktop in chain(map(self.desktop, desktop_ids), _updates(stream)):
                if desktop["id"] in desktop_ids:
                    _must_be_well(desktop)
                for light in lights:
                    if (desktop["id"], light) in missing and desktop["readiness"][light] == "ready":
                        missing.discard((desktop["id"], light))
                        yield light, time.perf_counter()
                if not missing:
                    return

    def _first_picture(self, desktop_id: str) -> float:
        """When a picture of the screen can be had."""
        picture = f"/api/desktops/{desktop_id}/screenshot"

        def seen() -> bool:
            if self.http.get(picture).status_code == 200:
                return True
            self.desktop(desktop_id)
            return False

        self.until(seen, every=PICTURE_EVERY)
        return time.perf_counter()

    def desktop(self, desktop_id: str) -> dict[str, Any]:
        """The desktop now; one in error ends the benchmark."""
        desktop = self.call("GET", f"/api/desktops/{desktop_id}")
        _must_be_well(desktop)
        return desktop

    def is_at_rest(self, desktop_id: str, status: str) -> bool:
        """Whether the desktop has that status, and nothing is being done to it."""
        desktop = self.desktop(desktop_id)
        return desktop["status"] == status and not desktop["task"]

    def destroy(self, desktop_id: str) -> float:
        """Seconds until the desktop is gone."""
        self.call("DELETE", f"/api/desktops/{desktop_id}")
        return self.until(lambda: self.is_at_rest(desktop_id, "destroyed"))

    def destroy_all(self) -> None:
        """Leave no machine behind, also after an interruption."""
        with contextlib.suppress(httpx.HTTPError):
            for desktop in self.call("GET", "/api/desktops")["items"]:
                self.call("DELETE", f"/api/desktops/{desktop['id']}")
            self.until(lambda: not self.call("GET", "/api/desktops")["items"])


@contextmanager
def serving(
    cache: Path, figures: dict[str, list[float]] | None = None, **environment: str
) -> Iterator[Bench]:
    """A server on a home of its own; nothing of it is left afterwards.

    Args:
        cache: Folder with `images`, and `goldens` where there are some; both are kept.
        figures: Where measurements are collected, if together with another server's.
        environment: Settings beyond the usual.
    """
    (cache / "goldens").mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="lb-", dir=cache))
    for folder in ("images", "goldens"):
        (home / folder).symlink_to(cache / folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bench = Bench(f"http://127.0.0.1:{port}", home / "server.log", figures)
    with bench.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lebureau_app", "serve"],
            cwd=ROOT,
            env={
                **os.environ,
                "LEBUREAU_HOME": str(home),
                "LEBUREAU_PORT": str(port),
                "LEBUREAU_ADMIN_EMAIL": EMAIL,
                "LEBUREAU_ADMIN_PASSWORD": PASSWORD,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        bench.note("server start", bench.until(lambda: _answers(bench, process)))
        bench.sign_in()
        yield bench
    finally:
        bench.destroy_all()
        process.terminate()
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _must_be_well(desktop: dict[str, Any]) -> None:
    if desktop["status"] == "error":
        raise RuntimeError(desktop["statusMessage"])


def _updates(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """Every desktop of the stream that has changed."""
    began, event = time.perf_counter(), ""
    for line in stream.iter_lines():
        if time.perf_counter() - began > LIMIT:
            raise TimeoutError("the benchmark waited too long")
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data" and event == "desktop.updated":
            yield json.loads(value)


def _answers(bench: Bench, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the server ended before it answered: {bench.log.read_text()[-2000:]}")
    try:
        return bench.http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def report(figures: dict[str, list[float]], base: str) -> None:
    """Print medians, and how they compare.

    Args:
        figures: What was measured, by names such as `resume: ssh`.
        base: What the others are compared with: `cold` compares `resume: ssh` with `cold: ssh`.
    """
    print(f"\n{'figure':<36}{'median':>9}{'min':>9}{'max':>9}{'n':>4}  ratio")
    for name, values in figures.items():
        median = statistics.median(values)
        kind, _, what = name.partition(": ")
        other = figures.get(f"{base}: {what}") if what and kind != base else None
        ratio = f"{median / statistics.median(other):.3f} x {base}" if other else ""
        print(
            f"{name:<36}{median:9.2f}{min(values):9.2f}{max(values):9.2f}{len(values):4}  {ratio}"
        )
