"""The pages in a real browser, on a fleet of the fake provider."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Response, expect

from lebureau_app import frontend
from tests.e2e.conftest import OWNER, PASSWORD, Server
from tests.e2e.support import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST_PAGE_KB = 400
PHONE = {"width": 390, "height": 844}
PAGES = ("/", "/settings/", "/settings/?section=api", "/settings/?section=host")


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    frontend.build()
    return make_server(
        LEBUREAU_PROVIDER="fake", LEBUREAU_ADMIN_EMAIL=OWNER, LEBUREAU_ADMIN_PASSWORD=PASSWORD
    )


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
