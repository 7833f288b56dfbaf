"""The pages in a real browser, on a fleet of the fake provider."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Page, Response, expect

from tests.e2e.support import Client, until
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST_PAGE_KB = 400
PHONE = {"width": 390, "height": 844}
PAGES = (
    "/",
    "/settings/",
    "/settings/?section=api",
    "/settings/?section=workspace",
    "/settings/?section=host",
)

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(LEBUREAU_PROVIDER="fake", **ACCOUNT)


@pytest.fixture
def owner(page: Page) -> Iterator[Page]:
    """A page of the owner; a script that the CSP refuses fails the test."""
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto("/login/")
    page.fill("#email", OWNER)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")
    expect(page.locator("#new-computer")).to_be_enabled()
    yield page
    assert [text for text in refused if "Content Security Policy" in text] == []


@pytest.fixture
def desktop(client: Client) -> Iterator[dict[str, Any]]:
    """A running desktop with a name of its own; it and its forks are gone afterwards."""
    made = client.post("/api/desktops", {"name": f"d{next(_NUMBERS):03}"})
    yield client.until_status(made["id"], "running", 30)
    for each in client.get("/api/desktops?limit=200")["items"]:
        if made["id"] in (each["id"], each["parentId"]):
            client.call("DELETE", f"/api/desktops/{each['id']}", status=202)


def test_the_first_visit_teaches_three_steps(owner: Page) -> None:
    expect(owner.locator(".lb-steps li")).to_have_count(3)
    expect(owner.locator(".lb-steps li").first).to_contain_text("Done")
    owner.get_by_role("button", name="Add a model key").click()
    expect(owner.locator("#add-model-key")).to_be_visible()


def test_from_provision_to_destroy(owner: Page) -> None:
    owner.keyboard.press("n")
    owner.fill("#new-name", "alpha")
    owner.keyboard.press("Enter")
    owner.wait_for_url("**/desktop/**")
    expect(owner.locator("#desktop-status")).to_have_text("Running", timeout=30_000)
    owner.fill("#chat-input", "hello there")
    owner.keyboard.press("Enter")
    answer = owner.locator('.lb-message[data-role="assistant"]').last
    expect(answer).to_contain_text("hello there", timeout=30_000)
    expect(owner.locator("#chat-input")).to_have_value("")
    owner.click("#stop")
    expect(owner.locator("#desktop-status")).to_have_text("Stopped", timeout=30_000)
    owner.get_by_role("button", name="Undo").click()
    expect(owner.locator("#desktop-status")).to_have_text("Running", timeout=30_000)
    owner.click("#more")
    owner.get_by_role("menuitem", name="Destroy").click()
    expect(owner.locator("#destroy-confirm")).to_be_disabled()
    owner.fill("#destroy-name", "alpha")
    owner.click("#destroy-confirm")
    owner.wait_for_url(lambda url: url.endswith("/"))
    expect(owner.locator("[data-desktop]")).to_have_count(0, timeout=30_000)


def test_a_hibernated_desktop_wakes_when_its_page_is_opened(
    owner: Page, desktop: dict[str, Any]
) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    expect(owner).to_have_title(f"{desktop['name']} · Le Bureau")
    expect(owner.locator("#hibernates")).to_contain_text("Hibernates in")
    owner.click("#hibernate")
    status = owner.locator("#desktop-status")
    expect(status).to_have_text("Hibernated", timeout=30_000)
    expect(owner.locator(".lb-still")).to_have_attribute("data-shown", "true")
    owner.goto("/")
    tile = owner.locator(f'[data-desktop="{desktop["id"]}"]')
    expect(tile).to_contain_text("Wakes on a message")
    expect(tile.locator("img")).to_be_visible()
    tile.get_by_role("link").click()
    expect(status).to_have_text("Running", timeout=30_000)


def test_a_message_wakes_a_hibernated_desktop(
    owner: Page, client: Client, desktop: dict[str, Any]
) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    owner.click("#hibernate")
    expect(owner.locator("#desktop-status")).to_have_text("Hibernated", timeout=30_000)
    owner.fill("#chat-input", "are you there")
    owner.keyboard.press("Enter")
    answer = owner.locator('.lb-message[data-role="assistant"]').last
    expect(answer).to_contain_text("are you there", timeout=30_000)
    assert client.desktop(desktop["id"])["status"] == "running"


def test_a_page_that_stays_open_wakes_nothing(
    owner: Page, client: Client, desktop: dict[str, Any]
) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    expect(owner.locator("#hibernate")).to_be_visible()
    client.post(f"/api/desktops/{desktop['id']}/hibernate")
    expect(owner.locator("#desktop-status")).to_have_text("Hibernated", timeout=30_000)
    owner.get_by_role("link", name="Settings").click()
    expect(owner.get_by_role("main", name="Settings")).to_be_visible()
    client.until_status(desktop["id"], "hibernated", 1)
    kinds = [each["kind"] for each in _operations(client, desktop["id"])]
    assert kinds == ["hibernate", "create"]


def test_keep_awake_and_a_rule_of_its_own(
    owner: Page, client: Client, desktop: dict[str, Any]
) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    owner.click("#hibernates")
    owner.get_by_role("button", name="15 min").click()
    expect(owner.locator("#hibernates")).to_contain_text("14 m")
    owner.keyboard.press("Escape")
    owner.click("#keep-awake")
    expect(owner.locator("#hibernates")).to_contain_text("Kept awake")
    shown = client.desktop(desktop["id"])
    assert shown["hibernateAfter"] == 900
    assert shown["awakeUntil"]


def test_the_timeline_takes_restores_undoes_and_deletes(
    owner: Page, client: Client, desktop: dict[str, Any]
) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    owner.get_by_role("tab", name="Snapshots").click()
    owner.fill("#snapshot-name", "Before")
    owner.keyboard.press("Enter")
    moments = owner.locator("[data-snapshot]")
    expect(moments.first).to_contain_text("Disk and memory", timeout=30_000)
    expect(moments.locator("img")).to_be_visible()
    moments.first.get_by_role("button", name="Restore").click()
    expect(moments).to_have_count(2)
    expect(moments.first).to_contain_text("automatic")
    expect(owner.locator("#desktop-status")).to_have_text("Running", timeout=30_000)
    _until_idle(client, desktop["id"])
    owner.get_by_role("button", name="Undo").click()
    expect(moments).to_have_count(3)
    expect(moments.first).to_contain_text("Before restoring Before restoring")
    _until_idle(client, desktop["id"])
    restored = [each for each in _operations(client, desktop["id"]) if each["kind"] == "restore"]
    assert [each["status"] for each in restored] == ["done", "done"]
    moments.last.get_by_role("button", name="Delete").click()
    owner.get_by_label("Delete the snapshot").get_by_role("button", name="Delete").click()
    expect(moments).to_have_count(2, timeout=30_000)


def test_forks_say_what_they_are_forks_of(owner: Page, desktop: dict[str, Any]) -> None:
    owner.goto(f"/desktop/{desktop['id']}")
    owner.click("#more")
    owner.get_by_role("menuitem", name="Fork").click()
    owner.select_option("#fork-count", "2")
    owner.fill("#fork-prefix", "twin")
    owner.click("#fork-confirm")
    owner.wait_for_url(lambda url: url.endswith("/"))
    for name in ("twin-1", "twin-2"):
        tile = owner.locator("[data-desktop]", has_text=name)
        expect(tile).to_contain_text(f"fork of {desktop['name']}")
        expect(tile).to_contain_text("Running", timeout=30_000)


def test_a_new_tier_can_be_undone(owner: Page, client: Client, desktop: dict[str, Any]) -> None:
    client.post(f"/api/desktops/{desktop['id']}/stop", {})
    client.until_status(desktop["id"], "stopped", 30)
    owner.goto(f"/desktop/{desktop['id']}")
    owner.click("#more")
    owner.get_by_role("menuitem", name="Change the tier").click()
    expect(owner.locator("#retier-snapshot-first")).to_be_checked()
    owner.locator("[data-tier=pro]").click()
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.get_by_role("dialog").get_by_role("button", name="Copy as curl").click()
    copied = until(lambda: owner.evaluate("navigator.clipboard.readText()"), 15, "it is copied")
    assert '{"tier": "pro", "snapshot": true}' in copied
    owner.click("#retier-confirm")
    expect(owner.get_by_role("button", name="Undo")).to_be_visible()
    _until_idle(client, desktop["id"])
    assert client.desktop(desktop["id"])["tier"] == "pro"
    owner.get_by_role("button", name="Undo").click()
    until(lambda: client.desktop(desktop["id"])["tier"] == "free", 30, "the tier is back")


def test_a_golden_machine_is_announced(owner: Page) -> None:
    owner.goto("/settings/?section=host")
    expect(owner.locator("[data-golden=Free]")).to_contain_text("Ready", timeout=30_000)
    owner.click("#new-computer")
    expect(owner.locator("#road")).to_contain_text("In seconds")


def test_the_workspace_has_a_rule(owner: Page, client: Client) -> None:
    owner.goto("/settings/?section=workspace")
    owner.get_by_role("button", name="4 h").click()
    expect(owner.get_by_role("button", name="4 h")).to_have_attribute("aria-pressed", "true")
    (workspace,) = client.get("/api/workspaces")["items"]
    assert workspace["hibernateAfter"] == 14400


def test_the_palette_forks(owner: Page, desktop: dict[str, Any]) -> None:
    owner.keyboard.press("Control+k")
    owner.keyboard.type(f"fork {desktop['name']}")
    option = owner.get_by_role("option", name=f"Fork {desktop['name']}")
    expect(option).to_be_visible()
    option.click()
    owner.wait_for_url("**/desktop/**")
    expect(owner.locator("h1")).to_have_text(f"{desktop['name']}-1")


def test_a_desktop_fits_a_phone(owner: Page, desktop: dict[str, Any]) -> None:
    owner.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
    owner.goto(f"/desktop/{desktop['id']}")
    for tab in ("Snapshots", "Screen", "Terminal", "Chat"):
        owner.get_by_role("tab", name=tab).click()
        expect(owner.get_by_role("tabpanel", name=tab)).to_be_visible()
        assert owner.locator("html").evaluate("page => page.scrollWidth") <= PHONE["width"]


def test_a_name_that_is_taken_is_told_in_place(owner: Page, client: Client) -> None:
    client.post("/api/desktops", {"name": "taken"}, status=202)
    owner.click("#new-computer")
    owner.fill("#new-name", "taken")
    owner.click("#provision")
    expect(owner.get_by_role("alert")).to_contain_text("has that name")
    expect(owner.get_by_role("alert")).to_contain_text("req_")
    expect(owner.locator("#new-name")).to_have_value("taken")


def test_the_fleet_follows_what_others_do(owner: Page, client: Client) -> None:
    made = client.post("/api/desktops", {"name": "elsewhere"}, status=202)
    tile = owner.locator(f'[data-desktop="{made["id"]}"]')
    expect(tile).to_contain_text("Running", timeout=30_000)
    client.post(f"/api/desktops/{made['id']}/stop", {}, status=202)
    expect(tile).to_contain_text("Stopped", timeout=30_000)


def test_long_lists_are_shown_fifty_at_a_time(owner: Page, client: Client) -> None:
    for number in range(60):
        client.post("/api/desktops", {"name": f"many-{number:02}"}, status=202)
    owner.get_by_role("button", name="List").click()
    expect(owner.locator("tbody tr")).to_have_count(50, timeout=30_000)
    owner.get_by_role("button", name="Older").click()
    expect(owner.locator("tbody tr")).not_to_have_count(50)
    owner.keyboard.press("/")
    owner.keyboard.type("many-07")
    expect(owner.locator("tbody tr")).to_have_count(1)


def test_keys_lead_everywhere(owner: Page) -> None:
    owner.keyboard.press("g")
    owner.keyboard.press("s")
    owner.wait_for_url("**/settings/")
    expect(owner.get_by_role("main", name="Settings")).to_be_visible()
    owner.keyboard.press("Control+k")
    expect(owner.get_by_role("combobox")).to_be_focused()
    owner.keyboard.type("mission")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("main", name="Mission Control")).to_be_visible()
    owner.keyboard.press("?")
    expect(owner.get_by_role("dialog", name="Keys")).to_be_visible()


def test_an_api_key_is_shown_once(owner: Page) -> None:
    owner.goto("/settings/?section=api")
    owner.fill("#api-key-name", "ci")
    owner.click("#create-api-key")
    secret = owner.locator("#new-secret").inner_text()
    assert secret.startswith("lb_")
    owner.reload()
    expect(owner.locator(".lb-rows li")).to_have_count(1)
    expect(owner.locator("#new-secret")).to_have_count(0)
    assert secret not in owner.content()


def test_signing_out_closes_every_page(owner: Page) -> None:
    owner.click("#account")
    owner.get_by_role("menuitem", name="Sign out").click()
    owner.wait_for_url("**/login/**")
    owner.goto("/settings/?section=api")
    owner.wait_for_url("**/login/?next=**")


def test_a_wrong_password_is_told_in_words(page: Page) -> None:
    page.goto("/login/")
    page.fill("#email", OWNER)
    page.fill("#password", "not the password")
    page.click("#sign-in")
    expect(page.get_by_role("alert")).to_have_text("The email or the password is wrong.")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_a_phone(owner: Page, path: str) -> None:
    owner.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
    owner.goto(path)
    expect(owner.locator("#page")).to_be_visible()
    assert owner.locator("html").evaluate("page => page.scrollWidth") <= PHONE["width"]


def test_the_first_page_is_light_and_comes_from_here_only(page: Page, server: Server) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto("/login/", wait_until="networkidle")
    assert {answer.url.startswith(server.url) for answer in answers} == {True}
    sizes = [answer.request.sizes()["responseBodySize"] for answer in answers]
    assert 0 < sum(sizes) / 1000 <= FIRST_PAGE_KB


def _until_idle(client: Client, desktop_id: str) -> None:
    """Wait until everything that was asked of a desktop is done."""
    over = {"done", "failed", "cancelled"}
    until(
        lambda: all(each["status"] in over for each in _operations(client, desktop_id)),
        30,
        f"nothing is left to be done to {desktop_id}",
    )


def _operations(client: Client, desktop_id: str) -> list[dict[str, Any]]:
    return client.get(f"/api/desktops/{desktop_id}/operations")["items"]
