"""A real server, a real browser, a real virtual machine; only the model is scripted."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.support import Client, machines, until
from tests.support.image_build import CACHE, ImageBuild

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OWNER = "owner@example.com"
PASSWORD = "correct horse battery"


@dataclass
class Server:
    """The server as the README starts it, on a home of its own.

    Attributes:
        home: LEBUREAU_HOME; short, since Unix socket paths are.
        output: What it printed.
    """

    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.home / "server.out").read_text()

    def start(self) -> None:
        with (self.home / "server.out").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lebureau_app", "serve"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "LEBUREAU_HOME": str(self.home),
                    "LEBUREAU_PORT": str(self.port),
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._answers, 60, "the server answers")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def setup_link(self) -> str:
        found = re.search(r"http\S+/setup\S*", self.output)
        assert found, self.output
        return found[0]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def golden_images(image_build: ImageBuild | None) -> Path:
    """A folder with the golden image, built once for as long as its recipe stays the same."""
    if image_build:
        image_build.wait()
    return CACHE


@pytest.fixture(scope="session")
def golden_machines(make_server: Callable[..., "Server"], golden_images: Path) -> Path:
    """The same folder of images, once new desktops resume a golden machine."""
    account = {"LEBUREAU_ADMIN_EMAIL": OWNER, "LEBUREAU_ADMIN_PASSWORD": PASSWORD}
    server = make_server(golden_images, **account)
    with Client(server.url) as client:
        client.sign_in(OWNER, PASSWORD)

        def made() -> bool:
            images = client.get("/api/images")["items"]
            goldens = [golden for image in images for golden in image["goldens"]]
            return any(each["status"] == "ready" for each in goldens)

        until(made, 3600, "the golden machine is made", every=1)
    server.stop()
    return golden_images


@pytest.fixture(scope="session")
def make_server() -> Iterator[Callable[..., Server]]:
    """Makes servers, and takes them away with their machines.

    Goldens are kept beside the images that a server is given, on the same file system as its home.
    """
    made: list[Server] = []

    def make(images: Path | None = None, **environment: str) -> Server:
        place = images.parent if images else None
        server = Server(Path(tempfile.mkdtemp(prefix="lb-", dir=place)), _free_port(), environment)
        if images:
            goldens = images.parent / "goldens"
            goldens.mkdir(exist_ok=True)
            (server.home / "images").symlink_to(images)
            (server.home / "goldens").symlink_to(goldens)
        server.start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        _end_machines(server.home)
        shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
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
    port = _free_port()
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


def _end_machines(home: Path) -> None:
    """End the machines of this home that are left."""
    for pid in machines(f"{home}/"):
        os.kill(pid, 9)
    time.sleep(0.1)
