"""From the set-up link to a desktop that one can see, type in and talk to, and back to nothing.

The tests of this module follow each other on one desktop, as a person would.
"""

import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.looking import canvas_image, shows_the_panel, sign_in
from tests.e2e.support import Client, machines, until
from tests.support import readme
from tests.support.server import OWNER, PASSWORD, Server

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(3000)]

SCREEN, AGENT, STOP, START = 300, 1200, 180, 300


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], golden_machines: Path) -> Server:
    return make_server(golden_machines)


def test_the_setup_link_makes_the_owner(page: Page, server: Server) -> None:
    page.goto(server.setup_link())
    page.fill("input[name=email]", OWNER)
    page.fill("input[name=password]", PASSWORD)
    page.click("button.lb-primary")
    expect(page.locator("#new-computer")).to_be_visible(timeout=15_000)
    assert "setup" not in page.url


def test_the_model_key_is_kept_and_tested(page: Page, model: dict[str, Any]) -> None:
    sign_in(page)
    page.goto("/settings/")
    page.click("#add-model-key")
    page.locator("[name=provider]").select_option("openai-compatible")
    page.fill("[name=name]", "Scripted")
    page.fill("[name=base_url]", model["url"])
    page.fill("[name=model]", "scripted-1")
    page.fill("#model-key", "sk-e2e-0001")
    page.click("#keep-model-key")
    expect(page.get_by_text("0001")).to_be_visible()
    assert "sk-e2e-0001" not in page.content()


def test_new_computer_comes_up_as_one_watches(
    page: Page, client: Client, found: dict[str, Any]
) -> None:
    sign_in(page)
    page.click("#new-computer")
    page.fill("#new-name", "dev-agent-01")
    page.keyboard.press("Enter")
    listed = until(lambda: client.get("/api/desktops")["items"], 15, "the desktop is listed")
    desktop_id = found["desktop"] = listed[0]["id"]
    page.goto(f"/desktop/{desktop_id}/")
    expect(page.locator("#desktop-line")).not_to_be_empty(timeout=15_000)
    client.until_light(desktop_id, "screen", SCREEN)
    client.until_status(desktop_id, "running", SCREEN)


def test_the_screen_shows_xfce(page: Page, desktop_id: str) -> None:
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    expect(page.locator(".lb-screen canvas")).to_be_visible(timeout=30_000)
    until(lambda: shows_the_panel(canvas_image(page)), 60, "the panel is in the canvas")


def test_the_terminal_answers(page: Page, client: Client, desktop_id: str) -> None:
    client.until_light(desktop_id, "terminal", SCREEN)
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    expect(page.locator(".xterm-screen")).to_be_visible(timeout=30_000)
    page.locator(".xterm-screen").click()
    page.keyboard.type("echo typed-$((6*7)) | tee ~/typed\n", delay=20)
    until(
        lambda: client.exec(desktop_id, "cat ~/typed")["stdout"] == "typed-42\n",
        60,
        "what was typed is carried out",
    )


def test_the_agent_carries_out_a_task(page: Page, client: Client, desktop_id: str) -> None:
    client.until_light(desktop_id, "agent", AGENT)
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    page.fill(
        "#chat-input", "Please [[exec: echo from-the-agent > ~/work/proof && cat ~/work/proof]]"
    )
    page.keyboard.press("Enter")
    expect(page.locator(".lb-tool-name").first).to_have_text(re.compile("exec"), timeout=600_000)
    expect(page.locator('.lb-message[data-role="assistant"]').last).to_contain_text(
        "DONE: from-the-agent", timeout=600_000
    )
    assert client.exec(desktop_id, "cat ~/work/proof")["stdout"] == "from-the-agent\n"


def test_the_same_by_rest_with_an_api_key(
    client: Client, server: Server, desktop_id: str, tmp_path: Path
) -> None:
    made = client.post("/api/api-keys", {"name": "e2e", "scopes": ["read", "write"]}, status=201)
    with Client(server.url, made["key"]) as program:
        run = program.ask(desktop_id, "hello there")
        assert run["status"] == "done", run
        assert run["reply"] == "ECHO: hello there"
        assert run["usage"]["outputTokens"] > 0
        kept = program.get(f"/api/desktops/{desktop_id}/messages")["items"]
        assert [each["role"] for each in kept[:2]] == ["assistant", "user"]
        picture = program.call("GET", f"/api/desktops/{desktop_id}/screenshot?width=640").content
        assert Image.open(io.BytesIO(picture)).width == 640
        ticket = program.post(f"/api/desktops/{desktop_id}/tickets", {"channel": "vnc"}, status=201)
        assert ticket["url"].startswith("ws://")
    printed = readme.run_on_desktop(tmp_path, server.url, made["key"], desktop_id)
    assert "Write the word hello" in printed
    assert Image.open(tmp_path / "screen.png").width == 1280


def test_a_slash_is_text(client: Client, desktop_id: str) -> None:
    assert client.ask(desktop_id, "/status is text")["reply"] == "ECHO: /status is text"


def test_a_rotated_key_is_used_and_a_removed_one_is_gone(
    client: Client, desktop_id: str, model: dict[str, Any]
) -> None:
    """Without a restart of the desktop; what the model saw is the proof."""

    def seen() -> str:
        return httpx.get(f"http://127.0.0.1:{model['port']}/requests").json()[-1]["authorization"]

    assert seen() == "Bearer sk-e2e-0001"
    (key,) = client.get("/api/provider-keys")["items"]
    path = f"/api/provider-keys/{key['id']}"
    client.call("PUT", path, json={"key": "sk-e2e-0002"})

    def uses_the_new_one() -> bool:
        run = client.ask(desktop_id, "again")
        return run["status"] == "done" and seen() == "Bearer sk-e2e-0002"

    until(uses_the_new_one, 300, "the model sees the new key")
    client.call("DELETE", path, status=204)
    assert client.ask(desktop_id, "and now?")["error"]["code"] == "no_model_key"
    look = "sudo grep -rl sk-e2e- /run/lebureau ~/.openclaw || true"
    until(lambda: client.exec(desktop_id, look)["stdout"] == "", 60, "no key is in the guest")


def test_the_tier_is_what_the_guest_has(client: Client, desktop_id: str) -> None:
    done = client.exec(
        desktop_id, "nproc; free -g --si | awk 'NR==2{print $2}'; df -BG / | tail -1"
    )
    vcpus, memory, disk = done["stdout"].splitlines()
    assert (int(vcpus), int(memory)) == (2, 4)
    assert int(disk.split()[1].rstrip("G")) >= 19


def test_a_killed_server_finds_its_machines_again(
    client: Client, server: Server, desktop_id: str
) -> None:
    before = client.exec(desktop_id, "cat /proc/sys/kernel/random/boot_id")["stdout"]
    server.kill()
    server.start()
    client.sign_in(OWNER, PASSWORD)
    client.until_light(desktop_id, "ssh", 60)
    after = until(
        lambda: client.exec(desktop_id, "cat /proc/sys/kernel/random/boot_id")["stdout"],
        60,
        "the desktop answers the new server",
    )
    assert after == before


def test_stop_and_start_keep_the_files(page: Page, client: Client, desktop_id: str) -> None:
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    page.click("#stop")
    client.until_status(desktop_id, "stopped", STOP)
    expect(page.locator("#start")).to_be_visible(timeout=15_000)
    page.click("#start")
    client.until_status(desktop_id, "running", START)
    assert client.exec(desktop_id, "cat ~/work/proof")["stdout"] == "from-the-agent\n"


def test_a_machine_that_dies_is_told_within_5_s(
    client: Client, server: Server, desktop_id: str
) -> None:
    """And the desktop can be destroyed as well as any other."""
    (process,) = machines(desktop_id)
    os.kill(process, signal.SIGKILL)
    until(lambda: client.desktop(desktop_id)["status"] == "error", 5, "its death is noticed")
    assert client.desktop(desktop_id)["statusMessage"]


def test_destroy_leaves_nothing(
    page: Page, client: Client, server: Server, desktop_id: str
) -> None:
    sign_in(page)
    page.goto(f"/desktop/{desktop_id}/")
    page.click("#more")
    page.get_by_text("Destroy …").click()
    page.fill("#destroy-name", "dev-agent-01")
    page.click("#destroy-confirm")
    until(lambda: client.desktop(desktop_id)["status"] == "destroyed", 60, "it is destroyed")
    assert machines(desktop_id) == []
    assert list((server.home / "desktops").iterdir()) == []
    assert list((server.home / "run").iterdir()) == []
    assert client.get(f"/api/desktops/{desktop_id}/messages")["items"]
