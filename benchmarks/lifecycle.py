"""Times the life of a desktop on this machine, beside each other in one run.

    python -m benchmarks.lifecycle [--cache DIR] [--rounds N]

Starts a server of its own on a throw-away home, creates a desktop by a cold boot, and prints when
each light came on, how long stop and start take, from click to pixel, and what the first page
weighs. Ratios are to the cold boot of the same round. Run it on an idle machine.
"""

import argparse
import gzip
import io
import shutil
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

from benchmarks.server import CACHE, EMAIL, PASSWORD, Bench, report, serving


def life(bench: Bench, name: str) -> None:
    """One desktop from nothing to nothing."""
    print(f"desktop {name}", flush=True)
    began = time.perf_counter()
    desktop_id = bench.call("POST", "/api/desktops", json={"name": name})["id"]
    path = f"/api/desktops/{desktop_id}"
    bench.watch_lights(desktop_id, "create", began)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(base_url=bench.url, viewport={"width": 1440, "height": 900})
        weigh_first_page(bench, page)
        click_to_pixel(bench, page, desktop_id)
        browser.close()
    bench.call("POST", f"{path}/stop")
    bench.note("stop", bench.until(lambda: bench.is_at_rest(desktop_id, "stopped")))
    began = time.perf_counter()
    bench.call("POST", f"{path}/start")
    bench.watch_lights(desktop_id, "start", began)
    bench.note("destroy", bench.destroy(desktop_id))


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


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    with serving(chosen.cache, LEBUREAU_RESUME="false") as bench:
        for number in range(chosen.rounds):
            life(bench, f"bench-{number + 1}")
        report(bench.figures, base="create")


if __name__ == "__main__":
    main()
