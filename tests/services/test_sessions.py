"""Sessions, users and set-up, on both databases."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, update
from sqlmodel import select

from lebureau_app import db
from lebureau_app.errors import Invalid, NameTaken, RateLimited, WrongCredentials
from lebureau_app.gateway.live import CloseCode, live_sockets
from lebureau_app.models import ApiKey, Membership, Session, User, Workspace, utc_now
from lebureau_app.services import api_keys, passwords, rate_limits, sessions, setup, users
from lebureau_app.services.sessions import LIFETIME
from lebureau_app.settings import get_settings
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def forget_failures():
    rate_limits.reset()


def cookie(signed_in):
    return f"other=1; lebureau_session={signed_in.token}; more=2"


async def test_of_many_first_accounts_one_is_made(any_database):
    made = await asyncio.gather(
        *(users.create_first(f"u{n}@example.com", PASSWORD) for n in range(4))
    )
    assert len([user for user in made if user]) == 1
    async with db.reading() as session:
        for table in (User, Workspace, Membership):
            assert (await session.exec(select(func.count()).select_from(table))).one() == 1


async def test_a_session_is_a_caller_with_roles(any_database):
    await users.create("anna@example.com", PASSWORD)
    signed_in = await sessions.sign_in("ANNA@example.com ", PASSWORD, "192.0.2.1", "x" * 999)
    caller = await sessions.caller_from_cookie(cookie(signed_in))
    assert caller is not None
    assert (caller.email, list(caller.roles.values())) == ("anna@example.com", ["owner"])
    async with db.reading() as session:
        row = await session.get_one(Session, caller.session_id)
    assert signed_in.token not in str(row.model_dump())
    assert row.address == "192.0.2.1"


async def test_using_a_session_keeps_it_alive_and_seven_days_end_it(any_database):
    await users.create("anna@example.com", PASSWORD)
    signed_in = await sessions.sign_in("anna@example.com", PASSWORD, "", "")
    await _set(last_seen_at=utc_now() - timedelta(days=2), expires_at=utc_now() + timedelta(days=5))
    assert await sessions.caller_from_cookie(cookie(signed_in))
    async with db.reading() as session:
        row = (await session.exec(select(Session))).one()
    assert row.expires_at > utc_now() + LIFETIME - timedelta(minutes=1)
    await _set(expires_at=utc_now() - timedelta(seconds=1))
    assert await sessions.caller_from_cookie(cookie(signed_in)) is None


@pytest.mark.parametrize("header", ["", "lebureau_session=", "lebureau_session=x", "=;=\x01", "é"])
async def test_rubbish_cookies_are_nobody(database, header):
    assert await sessions.caller_from_cookie(header) is None


async def test_a_burst_of_guesses_is_counted(any_database):
    await users.create("anna@example.com", PASSWORD)
    tries = [sessions.sign_in("anna@example.com", "wrong", f"192.0.2.{n}", "") for n in range(14)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(each) for each in outcomes].count(WrongCredentials) == 10
    assert [type(each) for each in outcomes].count(RateLimited) == 4


async def test_accounts_need_an_email_and_a_password(database):
    for email in ("", "x", "a@b@c", "a b@c", "a@b\x00", "é@" + "x" * 300):
        with pytest.raises(Invalid) as refusal:
            await users.create(email, PASSWORD)
        assert refusal.value.fields.keys() == {"email"}
    for password in ("", "short", "x" * 1025):
        with pytest.raises(Invalid):
            await users.create("a@b.example", password)
    await users.create("a@b.example", PASSWORD)
    with pytest.raises(NameTaken):
        await users.create("A@B.example", PASSWORD)


async def test_a_password_set_from_the_command_line_works(database):
    await users.create("anna@example.com", PASSWORD)
    await users.set_password("anna@example.com", "another one of mine")
    assert await sessions.sign_in("anna@example.com", "another one of mine", "", "")


async def test_nobodys_password_is_never_right(settings):
    assert not await passwords.verify("the password of an account that does not exist", None)
    assert not await passwords.verify("x" * 5000, None)


async def test_unattended_set_up_happens_once(database, monkeypatch):
    monkeypatch.setenv("LEBUREAU_ADMIN_EMAIL", "Admin@Example.com")
    monkeypatch.setenv("LEBUREAU_ADMIN_PASSWORD", PASSWORD)
    get_settings.cache_clear()
    await setup.setup_link("http://x")
    await setup.create_admin()
    await setup.create_admin()
    assert [user.email for user in await users.list_users()] == ["admin@example.com"]
    assert await setup.setup_link("http://x") is None
    assert not (get_settings().home / "setup.token").exists()


async def test_api_keys_expire_and_are_stored_hashed(any_database):
    user = await users.create("anna@example.com", PASSWORD)
    signed_in = await sessions.open_for(user, "", "")
    caller = await sessions.caller_from_cookie(cookie(signed_in))
    assert caller
    row, secret = await api_keys.create(caller, "k", ["read"], utc_now() + timedelta(hours=1))
    assert secret.startswith("lb_")
    assert len(secret) == 46
    found = await api_keys.caller_from_bearer(secret)
    assert found
    assert (found.api_key_id, found.scopes) == (row.id, {"read"})
    async with db.writing() as session:
        stored = await session.get_one(ApiKey, row.id)
        assert secret not in str(stored.model_dump())
        assert stored.last_used_at
        stored.expires_at = utc_now()
    assert await api_keys.caller_from_bearer(secret) is None
    for rubbish in ("", "lb_", "x", "lb_" + "x" * 43, "lb_" + "x" * 9999):
        assert await api_keys.caller_from_bearer(rubbish) is None


async def test_what_ended_elsewhere_is_closed_here(any_database):
    user = await users.create("anna@example.com", PASSWORD)
    signed_in = await sessions.open_for(user, "", "")
    caller = await sessions.caller_from_cookie(cookie(signed_in))
    assert caller
    key, _ = await api_keys.create(caller, "k", None, utc_now() + timedelta(hours=1))
    with (
        live_sockets.register(user_id=user.id, session_id=caller.session_id) as browser,
        live_sockets.register(user_id=user.id, api_key_id=key.id) as program,
    ):
        await sessions.close_ended()
        assert (browser.code, program.code) == (None, None)
        async with db.writing() as session:
            (await session.get_one(ApiKey, key.id)).expires_at = utc_now()
        await sessions.close_ended()
        assert (browser.code, program.code) == (None, CloseCode.SIGNED_OUT)
        await _set(revoked_at=utc_now())
        await sessions.close_ended()
        assert browser.code == CloseCode.SIGNED_OUT


async def _set(**values):
    async with db.writing() as session:
        await session.exec(update(Session).values(**values))
