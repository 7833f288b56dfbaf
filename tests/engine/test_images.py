"""Building the golden image in the background, with a stand-in for the build itself."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys

import pytest

from lebureau_app.engine import images as builder_module
from lebureau_app.engine.images import ImageBuilder
from lebureau_app.services import events, images
from lebureau_app.settings import get_settings
from tests.support.eventually import eventually

MANIFEST = json.dumps(
    {
        "id": images._current_id(),
        "profile": "standard",
        "suite": "trixie",
        "created": "2026-11-23T05:50:23Z",
        "size": 123,
    }
)
SUCCEEDS = """
import json, os, sys
folder, manifest = sys.argv[1:3]
print(json.dumps({"step": "packages", "percent": 40, "message": "Installing"}), flush=True)
place = os.path.join(folder, json.loads(manifest)["id"])
os.makedirs(place)
open(os.path.join(place, "manifest.json"), "w").write(manifest)
"""
FAILS = """
import json
print(json.dumps({"step": "packages", "percent": None, "message": "Installing"}), flush=True)
print("this is no JSON", flush=True)
print(json.dumps({"error": "No mirror was found.", "hint": "Set one."}), flush=True)
raise SystemExit(1)
"""
NEVER_ENDS = """
import json, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(json.dumps({"step": str(child.pid), "percent": None, "message": "Waiting"}), flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch, settings, database, living):
    monkeypatch.setenv("LEBUREAU_PROVIDER", "qemu")
    get_settings.cache_clear()
    monkeypatch.setattr(builder_module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(builder_module, "TELL_EVERY", 0.0)


def builder(script):
    folder = str(get_settings().images_dir)
    return ImageBuilder(get_settings(), [sys.executable, "-c", script, folder, MANIFEST])


@contextlib.asynccontextmanager
async def running(made):
    """The builder at work; yields what it tells."""

    async def told():
        while True:
            happened = await listener.get()
            if happened.type == "image.progress":
                yield happened.data

    async with events.bus.subscribe() as listener, asyncio.timeout(20):
        task = asyncio.create_task(made.run())
        try:
            yield told()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_missing_image_is_built_with_progress():
    made = builder(SUCCEEDS)
    seen = []
    async with running(made) as told:
        async for image in told:
            seen.append(image)
            if image["status"] == "ready":
                break
        assert made.under_way() is None
    assert [image["status"] for image in seen[:2]] == ["building", "building"]
    assert {"step": "packages", "percent": 40, "message": "Installing"} in [
        image["progress"] for image in seen
    ]
    assert await images.newest() == images._current_id()


async def test_a_failure_says_why_and_a_request_tries_again():
    made = builder(FAILS)
    async with running(made) as told:
        async for image in told:
            if image["status"] == "failed":
                break
        state = made.under_way()
        assert state
        assert (state.error, state.hint) == ("No mirror was found.", "Set one.")
        made.request()
        assert (await anext(told))["status"] == "building"


async def test_stopping_the_server_ends_the_build_with_all_its_children():
    made = builder(NEVER_ENDS)
    async with running(made) as told:
        async for image in told:
            if image["progress"]["step"].isdigit():
                child = int(image["progress"]["step"])
                break
        assert _alive(child)

    async def is_gone() -> bool:
        return not _alive(child)

    assert await eventually(is_gone)


async def test_a_build_that_is_at_work_already_is_followed(settings):
    (settings.home / "logs").mkdir()
    progress = settings.home / "logs" / "image-build.jsonl"
    line = {"step": "disk", "percent": None, "message": "Writing"}
    progress.write_text(json.dumps(line) + "\n")
    made = builder("raise SystemExit('it must not be started')")
    with (settings.images_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with running(made) as told:
            async for image in told:
                if image["progress"] == line:
                    break
            place = settings.images_dir / images._current_id()
            place.mkdir()
            (place / "manifest.json").write_text(MANIFEST)
            fcntl.flock(lock, fcntl.LOCK_UN)
            async for image in told:
                if image["status"] == "ready":
                    break
    assert image["id"] == images._current_id()


async def test_an_older_image_serves_until_the_new_one_is_there(settings):
    for number, name in enumerate(("standard-trixie-000000000000", "standard-trixie-111111111111")):
        place = settings.images_dir / name
        place.mkdir()
        about = json.loads(MANIFEST) | {"id": name, "created": f"2026-11-2{number}T00:00:00Z"}
        (place / "manifest.json").write_text(json.dumps(about))
    (settings.images_dir / ".building-x").mkdir()
    broken = settings.images_dir / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    assert not images.has_current()
    assert await images.newest() == "standard-trixie-111111111111"
    assert await images.prune() == ["standard-trixie-000000000000"]


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().split()[2] != "Z"
