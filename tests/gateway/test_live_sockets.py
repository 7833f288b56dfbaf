import asyncio

import pytest

from lebureau_app.gateway.live import CloseCode, LiveSockets


async def test_closes_what_matches_every_id_and_nothing_else():
    sockets = LiveSockets()
    with (
        sockets.register(user_id="usr_1", session_id="s1", desktop_id="dsk_1") as mine,
        sockets.register(user_id="usr_1", session_id="s2", desktop_id="dsk_2") as other_session,
        sockets.register(user_id="usr_2", session_id="s3", desktop_id="dsk_1") as other_person,
    ):
        assert sockets.close(CloseCode.SIGNED_OUT, user_id="usr_1", desktop_id="dsk_1") == 1
        assert await asyncio.wait_for(mine.closed(), 1) is CloseCode.SIGNED_OUT
        assert other_session.code is None
        assert other_person.code is None
        assert sockets.close(CloseCode.DESKTOP_GONE, desktop_id="dsk_1") == 2
        assert mine.code is CloseCode.SIGNED_OUT
        assert other_person.code is CloseCode.DESKTOP_GONE
    assert len(sockets) == 0


async def test_a_key_and_a_session_are_told_apart():
    sockets = LiveSockets()
    with (
        sockets.register(user_id="usr_1", session_id="x") as browser,
        sockets.register(user_id="usr_1", api_key_id="x") as program,
    ):
        assert sockets.close(CloseCode.SIGNED_OUT, api_key_id="x") == 1
        assert (browser.code, program.code) == (None, CloseCode.SIGNED_OUT)


async def test_everything_is_never_closed_by_mistake():
    sockets = LiveSockets()
    with sockets.register(user_id="usr_1") as live:
        with pytest.raises(ValueError, match="whose"):
            sockets.close(CloseCode.SIGNED_OUT)
        assert live.code is None


async def test_leaves_the_register_when_it_breaks():
    sockets = LiveSockets()
    with pytest.raises(RuntimeError), sockets.register(user_id="usr_1"):
        raise RuntimeError
    assert len(sockets) == 0
