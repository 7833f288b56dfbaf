"""Signing in and out, set-up, password, sessions."""

import re

import httpx
import pytest

from lebureau_app.api.auth import local_path
from lebureau_app.gateway.live import live_sockets
from lebureau_app.services import setup
from tests.conftest import ORIGIN, PASSWORD

FROM_PAGE = {"Origin": ORIGIN}
AS_JSON = {"Accept": "application/json"}


async def sign_in(client, name="owner", password=PASSWORD, **headers):
    form = {"email": f"{name}@example.com", "password": password}
    return await client.post("/auth/login", data=form, headers={**FROM_PAGE, **headers})


async def test_form_signs_in_with_a_safe_cookie_and_goes_on(client):
    form = {"email": "Owner@Example.com", "password": PASSWORD, "next": "/settings"}
    answer = await client.post("/auth/login", data=form, headers=FROM_PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("lebureau_session=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.split("; "))
    me = await client.get("/api/me")
    assert me.json()["user"]["email"] == "owner@example.com"
    assert me.json()["workspaces"][0]["role"] == "owner"


async def test_json_signs_in(client):
    body = {"email": "owner@example.com", "password": PASSWORD}
    answer = await client.post("/auth/login", json=body, headers=AS_JSON)
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] == "owner@example.com"


@pytest.mark.parametrize("email", ["owner@example.com", "nobody@example.com"])
async def test_wrong_credentials_do_not_tell_which(client, email):
    form = {"email": email, "password": "wrong wrong wrong"}
    answer = await client.post("/auth/login", data=form, headers={**FROM_PAGE, **AS_JSON})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "wrong_credentials")
    answer = await client.post("/auth/login", data={**form, "next": "/x"}, headers=FROM_PAGE)
    assert answer.headers["location"] == "/login?error=wrong_credentials&next=%2Fx"


async def test_another_site_cannot_sign_in(client):
    answer = await sign_in(client, Origin="http://evil.test")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/desktop/x?y=1", "/desktop/x?y=1"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_next_stays_here(target, path):
    assert local_path(target) == path


async def test_sign_out_revokes_and_closes_what_is_open(client):
    await sign_in(client)
    sessions = (await client.get("/auth/sessions")).json()["items"]
    assert [each["current"] for each in sessions] == [True]
    cookie = client.cookies["lebureau_session"]
    with live_sockets.register(user_id="usr_x", session_id=sessions[0]["id"]) as live:
        answer = await client.post("/auth/logout", headers=FROM_PAGE)
        assert answer.status_code == 303
        assert live.code == 4001
    again = await client.get("/api/me", headers={"Cookie": f"lebureau_session={cookie}"})
    assert again.status_code == 401


async def test_cookie_needs_the_own_origin_to_change_anything(client):
    await sign_in(client)
    for headers in ({}, {"Origin": "http://evil.test"}, {"Origin": "null"}, {"Origin": "http://["}):
        answer = await client.post("/api/api-keys", json={"name": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")
    answer = await client.post("/api/api-keys", json={"name": "x"}, headers=FROM_PAGE)
    assert answer.status_code == 201


async def test_ten_failures_are_enough_for_an_account_and_an_address(client):
    for _ in range(10):
        assert (await sign_in(client, password="wrong wrong", **AS_JSON)).status_code == 401
    answer = await sign_in(client, **AS_JSON)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 300
    other = await sign_in(client, "operator", **AS_JSON)
    assert other.status_code == 429, "the address is counted too"


async def test_password_change_ends_other_sessions(client):
    await sign_in(client)
    elsewhere = client.cookies["lebureau_session"]
    client.cookies.clear()
    await sign_in(client)
    new = "another horse battery"
    body = {"currentPassword": "wrong wrong", "newPassword": new}
    assert (await client.post("/auth/password", json=body, headers=FROM_PAGE)).status_code == 401
    body["currentPassword"] = PASSWORD
    short = {**body, "newPassword": "short"}
    answer = await client.post("/auth/password", json=short, headers=FROM_PAGE)
    assert answer.json()["error"]["fields"].keys() == {"newPassword"}
    assert (await client.post("/auth/password", json=body, headers=FROM_PAGE)).status_code == 204
    assert (await client.get("/api/me")).status_code == 200
    client.cookies.clear()
    old = await client.get("/api/me", headers={"Cookie": f"lebureau_session={elsewhere}"})
    assert old.status_code == 401
    assert (await sign_in(client, password=new, **AS_JSON)).status_code == 200


async def test_one_session_can_be_revoked_by_its_owner_only(client, people):
    await sign_in(client)
    session = (await client.get("/auth/sessions")).json()["items"][0]["id"]
    client.cookies.clear()
    path = f"/auth/sessions/{session}"
    assert (await client.delete(path, headers=people.bearer("stranger"))).status_code == 404
    assert (await client.delete(path, headers=people.bearer("owner"))).status_code == 204
    assert (await client.delete(path, headers=people.bearer("owner"))).status_code == 404


@pytest.fixture
async def fresh(database, living, api):
    """A client of a server that nobody has set up."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=ORIGIN) as made:
        yield made


async def test_the_setup_link_makes_the_owner_once(fresh, settings):
    link = await setup.setup_link(ORIGIN)
    assert link == await setup.setup_link(ORIGIN)
    token = str(link).partition("/setup#token=")[2]
    assert re.fullmatch(r"[\w-]{43}", token)
    assert (settings.home / "setup.token").stat().st_mode & 0o777 == 0o600
    body = {"token": "x" * 43, "email": "a@b.example", "password": PASSWORD}
    answer = await fresh.post("/auth/setup", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "setup_link_invalid")
    body["token"] = token
    weak = await fresh.post("/auth/setup", json={**body, "password": "short"})
    assert weak.json()["error"]["fields"].keys() == {"password"}
    answer = await fresh.post("/auth/setup", json=body)
    assert answer.status_code == 201
    me = (await fresh.get("/api/me")).json()
    assert [each["role"] for each in me["workspaces"]] == ["owner"]
    assert (await fresh.post("/auth/setup", json=body)).status_code == 403
    assert await setup.setup_link(ORIGIN) is None


async def test_setup_by_form_goes_to_the_first_page(fresh):
    token = str(await setup.setup_link(ORIGIN)).partition("token=")[2]
    form = {"token": token, "email": "a@b.example", "password": PASSWORD}
    answer = await fresh.post("/auth/setup", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
