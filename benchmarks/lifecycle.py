"""Times the life of a desktop on this machine, beside each other in one run.

    python -m benchmarks.lifecycle [--images DIR] [--rounds N]

Starts a server of its own on a throw-away home, creates a desktop by a cold boot, and prints when
each light came on, how long stop and start take, from click to pixel, and what the first page
weighs. Ratios are to the cold boot of the same round. Run it on an idle machine.
"""

import argparse
import contextlib
import gzip
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
EMAIL, PASSWORD = "bench@example.com", "a password for benchmarks"
LIGHTS = ("machine", "ssh", "screen", "terminal", "agent")
LIMIT = 1500


class Bench:
    """A server under measurement, and what was measured."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"Origin": url}, timeout=60)
        self.figures: dict[str, list[float]] = {}

    def note(self, name: str, seconds: float) -> None:
        """Keep a figure."""
        self.figures.setdefault(name, []).append(seconds)
        print(f"  {name:<28}{seconds:9.2f}", flush=True)

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Call the API; an error ends the benchmark."""
        answer = self.http.request(method, path, **more)
        answer.raise_for_status()
        return answer.json()

    def until(self, look: Callable[[], bool]) -> float:
        """Seconds until something holds."""
        began = time.perf_counter()
        while not look():
            if time.perf_counter() - began > LIMIT:
                raise TimeoutError("the benchmark waited too long")
            time.sleep(0.05)
        return time.perf_counter() - began

    def watch_lights(self, desktop_id: str, prefix: str) -> None:
        """Note when each light comes on."""
        began, missing = time.perf_counter(), set(LIGHTS)

        def all_on() -> bool:
            readiness = self.call("GET", f"/api/desktops/{desktop_id}")["readiness"]
            for light in [each for each in LIGHTS if each in missing]:
                if readiness[light] == "ready":
                    missing.discard(light)
                    self.note(f"{prefix}: {light}", time.perf_counter() - began)
            return not missing

        self.until(all_on)

    def destroy_all(self) -> None:
        """Leave no machine behind, also after an interruption."""
        with contextlib.suppress(httpx.HTTPError):
            for desktop in self.call("GET", "/api/desktops")["items"]:
                self.call("DELETE", f"/api/desktops/{desktop['id']}")
            self.until(lambda: not self.call("GET", "/api/desktops")["items"])

    def status(self, desktop_id: str) -> str:
        """What the desktop is."""
        return self.call("GET", f"/api/desktops/{desktop_id}")["status"]


@contextmanager
def serving(images: Path) -> Iterator[Bench]:
    """A server on a home of its own; nothing of it is left afterwards."""
    home = Path(tempfile.mkdtemp(prefix="lb-"))
    (home / "images").symlink_to(images)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bench = Bench(f"http://127.0.0.1:{port}")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lebureau_app", "serve"],
        cwd=ROOT,
        env={
            **os.environ,
            "LEBUREAU_HOME": str(home),
            "LEBUREAU_PORT": str(port),
            "LEBUREAU_ADMIN_EMAIL": EMAIL,
            "LEBUREAU_ADMIN_PASSWORD": PASSWORD,
            "LEBUREAU_LOG_LEVEL": "error",
        },
        stdin=subprocess.DEVNULL,
    )
    try:
        bench.until(lambda: _answers(bench))
        bench.note("server start", time.perf_counter() - began)
        yield bench
    finally:
        bench.destroy_all()
        process.terminate()
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _answers(bench: Bench) -> bool:
    try:
        return bench.http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def life(bench: Bench, name: str) -> None:
    """One desktop from nothing to nothing."""
    print(f"desktop {name}", flush=True)
    desktop_id = bench.call("POST", "/api/desktops", json={"name": name})["id"]
    path = f"/api/desktops/{desktop_id}"
    bench.watch_lights(desktop_id, "create")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(base_url=bench.url, viewport={"width": 1440, "height": 900})
        weigh_first_page(bench, page)
        click_to_pixel(bench, page, desktop_id)
        browser.close()
    bench.call("POST", f"{path}/stop")
    bench.note("stop", bench.until(lambda: bench.status(desktop_id) == "stopped"))
    bench.call("POST", f"{path}/start")
    bench.watch_lights(desktop_id, "start")
    bench.call("DELETE", path)
    bench.note("destroy", bench.until(lambda: bench.status(desktop_id) == "destroyed"))


def weigh_first_page(bench: Bench, page: Page) -> None:
    """Compressed bytes and time to usable of Mission Control in a fresh browser."""
    page.goto("/login/")
    page.fill("#email", EMAIL)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")
    page.wait_for_selector("#new-computer:not([disabled])")
    fresh = page.context.browser.new_context(storage_state=page.context.storage_state())  # pyright: ignore[reportOptionalMemberAccess]
    first = fresh.new_page()
    bodies: list[bytes] = []
    first.on("response", lambda answer: bodies.append(_body(answer)))
    began = time.perf_counter()
    first.goto(bench.url)
    first.wait_for_selector("#new-computer:not([disabled])")
    bench.note("first page: usable", time.perf_counter() - began)
    bench.note("first page: kB compressed", sum(map(_compressed, bodies)) / 1000)
    fresh.close()


def click_to_pixel(bench: Bench, page: Page, desktop_id: str) -> None:
    """From a click on the canvas to the first changed pixel in it."""
    page.goto(f"/desktop/{desktop_id}/")
    canvas = page.locator(".lb-screen canvas")
    canvas.wait_for(timeout=60_000)
    take = page.locator("#take-control")
    if take.is_visible():
        take.click()
    time.sleep(2)
    box = canvas.bounding_box()
    if box is None:
        return
    for _ in range(5):
        before = _picture(page)
        began = time.perf_counter()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3, button="right")
        bench.until(
            lambda before=before: (
                ImageChops.difference(before, _picture(page)).getbbox() is not None
            )
        )
        bench.note("click to pixel", time.perf_counter() - began)
        page.keyboard.press("Escape")
        time.sleep(2)


def _picture(page: Page) -> Image.Image:
    shot = page.locator(".lb-screen canvas").screenshot()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def _body(answer: Any) -> bytes:
    try:
        return answer.body()
    except Exception:
        return b""


def _compressed(body: bytes) -> int:
    return min(len(body), len(gzip.compress(body)))


def report(figures: dict[str, list[float]]) -> None:
    """Print medians, and their ratios to the cold creation where there is one."""
    print(f"\n{'figure':<30}{'median':>9}{'min':>9}{'max':>9}{'n':>4}  ratio")
    for name, values in figures.items():
        median = statistics.median(values)
        cold = figures.get(name.replace("start:", "create:")) if "start:" in name else None
        ratio = f"{median / statistics.median(cold):.2f}x create" if cold else ""
        print(f"{name:<30}{median:9.2f}{min(values):9.2f}{max(values):9.2f}{len(values):4} {ratio}")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--images", type=Path, default=cache / "lebureau" / "images")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    with serving(chosen.images) as bench:
        bench.call(
            "POST",
            "/auth/login",
            data={"email": EMAIL, "password": PASSWORD},
            headers={"Accept": "application/json"},
        )
        for number in range(chosen.rounds):
            life(bench, f"bench-{number + 1}")
        report(bench.figures)


if __name__ == "__main__":
    main()
