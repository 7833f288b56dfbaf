"""The two WebSockets: who gets in, how, and when they are closed."""

import asyncio
import json

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import select
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from lebureau_app import db
from lebureau_app.models import Desktop, Ticket, utc_now
from lebureau_app.services import activity, sessions
from tests.conftest import PASSWORD
from tests.gateway.servers import FULL_REQUEST, RfbServer, door_for, served
from tests.support.eventually import eventually

PRESSED_KEY = b"\x04\x01\0\0\0\0\0a"


@pytest.fixture
async def server(api, people, living):
    """A real server with a real VNC server behind the door of every desktop."""
    screen = RfbServer()
    async with door_for(screen) as door, served(api) as url:
        living.doors["screen"] = door
        yield url


@pytest.fixture
def http(server):
    return httpx.AsyncClient(base_url=server.replace("ws://", "http://"))


async def cookie_of(name):
    signed_in = await sessions.sign_in(f"{name}@example.com", PASSWORD, "192.0.2.1", "test")
    return signed_in, {"Cookie": f"lebureau_session={signed_in.token}"}


async def refused(url, **headers):
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, additional_headers=headers, proxy=None):
            pass
    response = refusal.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


async def ticket(http, people, desktop, name="owner", **body):
    answer = await http.post(
        f"/api/desktops/{desktop.id}/tickets",
        json={"channel": "vnc", **body},
        headers=people.bearer(name),
    )
    return answer


async def test_a_ticket_opens_the_screen_once(server, http, people, desktop):
    answer = await ticket(http, people, desktop)
    assert answer.status_code == 201
    url = answer.json()["url"]
    assert url.startswith(f"{server}/ws/desktops/{desktop.id}/vnc?ticket=")
    async with connect(url, subprotocols=[Subprotocol("binary")], proxy=None) as socket:
        assert socket.subprotocol == "binary"
        assert (await socket.recv()) == b"RFB 003.008\n"
    assert await refused(url) == (401, "ticket_invalid")


async def test_input_is_activity_and_an_open_socket_is_none(server, http, people, desktop):
    url = (await ticket(http, people, desktop)).json()["url"]

    async def active():
        async with db.reading() as session:
            return (await session.get_one(Desktop, desktop.id)).last_active_at

    async with connect(url, proxy=None) as socket:
        await socket.send(b"RFB 003.008\n\x01\x01" + FULL_REQUEST)
        await socket.recv()
        await activity.flush()
        assert await active() is None
        await socket.send(PRESSED_KEY)
        assert await eventually(active)


async def test_of_many_at_once_with_one_ticket_one_gets_in(server, http, people, desktop):
    url = (await ticket(http, people, desktop)).json()["url"]

    async def attempt():
        try:
            async with connect(url, proxy=None) as socket:
                await socket.recv()
                return True
        except InvalidStatus:
            return False

    assert sum(await asyncio.gather(*(attempt() for _ in range(6)))) == 1


async def test_a_ticket_is_for_one_desktop_and_channel(server, http, people, desktop):
    token = (await ticket(http, people, desktop)).json()["ticket"]
    path = f"{server}/ws/desktops/{desktop.id}/terminal?ticket={token}"
    assert await refused(path) == (401, "ticket_invalid")
    other = f"{server}/ws/desktops/{desktop.id}/vnc?ticket={token}"
    assert await refused(other) == (401, "ticket_invalid"), "a wrong use uses it up"


async def test_an_expired_ticket_is_refused(server, http, people, desktop):
    url = (await ticket(http, people, desktop)).json()["url"]
    async with db.writing() as session:
        await session.exec(update(Ticket).values(expires_at=utc_now()))
    assert await refused(url) == (401, "ticket_invalid")


async def test_tickets_are_stored_hashed(server, http, people, desktop):
    token = (await ticket(http, people, desktop)).json()["ticket"]
    async with db.reading() as session:
        rows = list(await session.exec(select(Ticket)))
    assert all(token not in str(row.model_dump()) for row in rows)


async def test_a_viewers_ticket_is_for_looking(server, http, people, desktop):
    assert (await ticket(http, people, desktop, "viewer", mode="control")).status_code == 403
    assert (await ticket(http, people, desktop, "viewer")).status_code == 201
    async with db.reading() as session:
        assert (await session.exec(select(Ticket.mode))).all() == ["view"]


async def test_a_cookie_needs_its_origin(server, people, desktop):
    url = f"{server}/ws/desktops/{desktop.id}/vnc"
    own = server.replace("ws://", "http://")
    _, cookie = await cookie_of("owner")
    assert await refused(url) == (401, "not_signed_in")
    assert await refused(url, Origin=own) == (401, "not_signed_in")
    assert await refused(url, **cookie) == (403, "wrong_origin")
    assert await refused(url, Origin="http://evil.test", **cookie) == (403, "wrong_origin")
    assert await refused(url, **people.bearer("owner")) == (401, "not_signed_in")
    async with connect(url, additional_headers={**cookie, "Origin": own}, proxy=None) as socket:
        assert await socket.recv() == b"RFB 003.008\n"


async def test_who_may_not_or_cannot_is_told_why(server, living, people, desktop):
    own = {"Origin": server.replace("ws://", "http://")}
    url = f"{server}/ws/desktops/{desktop.id}/vnc"
    _, stranger = await cookie_of("stranger")
    assert await refused(url, **own, **stranger) == (404, "desktop_not_found")
    _, viewer = await cookie_of("viewer")
    assert await refused(f"{url}?mode=control", **own, **viewer) == (403, "forbidden")
    _, owner = await cookie_of("owner")
    assert await refused(f"{url}?mode=x", **own, **owner) == (400, "malformed")
    assert await refused(f"{server}/ws/desktops/x/vnc", **own, **owner) == (
        404,
        "desktop_not_found",
    )
    assert await refused(f"{server}/ws/nothing", **own, **owner) == (404, "not_found")
    terminal = f"{server}/ws/desktops/{desktop.id}/terminal"
    assert await refused(terminal, **own, **owner) == (409, "not_ready")
    async with db.writing() as session:
        (await session.get_one(Desktop, desktop.id)).status = "stopped"
    assert await refused(url, **own, **owner) == (409, "desktop_not_running")


async def test_signing_out_closes_the_socket(server, people, desktop):
    signed_in, cookie = await cookie_of("owner")
    headers = {**cookie, "Origin": server.replace("ws://", "http://")}
    url = f"{server}/ws/desktops/{desktop.id}/vnc"
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        await socket.recv()
        await sessions.revoke(people["owner"], signed_in.session.id)
        async with asyncio.timeout(2):
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4001


async def test_revoking_the_api_key_kills_its_tickets(server, http, people, desktop):
    url = (await ticket(http, people, desktop)).json()["url"]
    keys = (await http.get("/api/api-keys", headers=people.bearer("owner"))).json()["items"]
    path = f"/api/api-keys/{keys[0]['id']}"
    assert (await http.delete(path, headers=people.bearer("owner"))).status_code == 204
    assert await refused(url) == (401, "ticket_invalid")
