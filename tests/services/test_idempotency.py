"""Idempotency keys: once, also when many ask at once and when the first never answers."""

import asyncio

import pytest
from sqlalchemy import update

from lebureau_app import db
from lebureau_app.errors import (
    IdempotencyConflict,
    IdempotencyInProgress,
    Invalid,
    Malformed,
)
from lebureau_app.models import IdempotentAnswer, utc_now
from lebureau_app.services import idempotency
from lebureau_app.services.access import Caller
from lebureau_app.services.idempotency import Answer, once

ANNA, BERT = Caller("usr_anna", "anna@example.com"), Caller("usr_bert", "bert@example.com")


class Maker:
    """Makes things and counts them; waits for `let_go` where it is given."""

    def __init__(self, let_go=None, fails=False):
        self.made = 0
        self.let_go, self.fails = let_go, fails

    async def __call__(self):
        self.made += 1
        if self.let_go:
            await self.let_go.wait()
        if self.fails:
            raise Invalid
        return Answer(201, {"number": self.made, "secret": "s3cret"}, secrets=("secret",))


async def test_the_first_answer_is_given_again_without_its_secret(any_database):
    make = Maker()
    first = await once(ANNA, "POST /x", "k", b"{}", make)
    again = await once(ANNA, "POST /x", "k", b"{}", make)
    assert (first.body["secret"], again.body, again.status) == ("s3cret", {"number": 1}, 201)
    assert make.made == 1


async def test_callers_routes_and_keys_are_apart(any_database):
    make = Maker()
    for caller, route, key in (
        (ANNA, "POST /x", "k"),
        (BERT, "POST /x", "k"),
        (ANNA, "POST /y", "k"),
        (ANNA, "POST /x", "l"),
        (ANNA, "POST /x", None),
        (ANNA, "POST /x", None),
    ):
        await once(caller, route, key, b"{}", make)
    assert make.made == 6


async def test_another_body_is_a_conflict(any_database):
    await once(ANNA, "POST /x", "k", b"1", Maker())
    with pytest.raises(IdempotencyConflict):
        await once(ANNA, "POST /x", "k", b"2", Maker())


async def test_of_many_at_once_one_is_made(any_database):
    let_go = asyncio.Event()
    make = Maker(let_go)
    calls = [asyncio.create_task(once(ANNA, "POST /x", "k", b"{}", make)) for _ in range(8)]
    done, going_on = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    while len(going_on) > 1:
        more, going_on = await asyncio.wait(going_on, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert all(isinstance(call.exception(), IdempotencyInProgress) for call in done)
    let_go.set()
    assert (await going_on.pop()).status == 201
    assert make.made == 1


async def test_a_failure_leaves_the_key_free(any_database):
    with pytest.raises(Invalid):
        await once(ANNA, "POST /x", "k", b"1", Maker(fails=True))
    assert (await once(ANNA, "POST /x", "k", b"2", Maker())).status == 201


async def test_a_crash_blocks_the_key_for_a_minute_only(any_database):
    crashed = IdempotentAnswer(caller=ANNA.key, route="POST /x", key="k", body_hash="?")
    async with db.writing() as session:
        session.add(crashed)
    with pytest.raises(IdempotencyConflict):
        await once(ANNA, "POST /x", "k", b"{}", Maker())
    await age(idempotency.ABANDONED)
    assert (await once(ANNA, "POST /x", "k", b"{}", Maker())).status == 201


async def test_answers_are_forgotten_after_a_day(any_database):
    make = Maker()
    await once(ANNA, "POST /x", "k", b"1", make)
    await age(idempotency.KEPT)
    await once(ANNA, "POST /x", "k", b"2", make)
    assert make.made == 2
    await age(idempotency.KEPT)
    await idempotency.forget_old()
    async with db.reading() as session:
        assert await session.get(IdempotentAnswer, (ANNA.key, "POST /x", "k")) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_rubbish_keys_are_refused(database, key):
    with pytest.raises(Malformed):
        await once(ANNA, "POST /x", key, b"", Maker())


async def age(by):
    async with db.writing() as session:
        await session.exec(update(IdempotentAnswer).values(created_at=utc_now() - by - by / 100))
