"""A real server, a real browser, a real virtual machine; only the model is scripted."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.support import Client, until
from tests.support.building import ROOT
from tests.support.server import OWNER, PASSWORD, Server, free_port

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module only: no other test could start an event loop while Playwright's is running."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of a fresh browser profile; a script error fails the test."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The scripted model as a process of its own; its `url` ends in /v1.

    Beside the model it serves a Git repository, at `/files/repository.git`.
    """
    port = free_port()
    files = tmp_path_factory.mktemp("files")
    _make_repository(files / "repository.git")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.scripted_model",
            "--port",
            str(port),
            "--files",
            str(files),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://localhost:{port}/v1"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/models", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    until(answers, 30, "the scripted model answers")
    yield {"url": url, "port": port}
    process.terminate()
    process.wait(10)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A signed-in REST client."""
    with Client(server.url) as signed_in:
        signed_in.sign_in(OWNER, PASSWORD)
        yield signed_in


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What one test of a module leaves for the next, such as the desktop's id."""
    return {}


@pytest.fixture
def desktop_id(found: dict[str, Any]) -> str:
    if "desktop" not in found:
        pytest.skip("the desktop was not created")
    return found["desktop"]


def _make_repository(bare: Path) -> None:
    """A bare repository with one commit, ready for Git's dumb HTTP protocol."""
    work = bare.with_suffix(".work")
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for command in (
        [*git, "init", "-q", "-b", "main", str(work)],
        [*git, "-C", str(work), "commit", "-q", "--allow-empty", "-m", "First"],
        [*git, "clone", "-q", "--bare", str(work), str(bare)],
        [*git, "-C", str(bare), "update-server-info"],
    ):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
