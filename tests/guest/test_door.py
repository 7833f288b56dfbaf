import asyncio
import http
import logging

import pytest
from websockets.asyncio.server import serve

from lebureau_app.errors import GuestError
from lebureau_app.guest.door import Door, connect, probe_terminal, probe_terminal_gently
from tests.gateway.servers import SECRET, door_for, port_of


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def test_opens_with_the_secret_and_without_compression():
    async with door_for(echo) as door:
        socket = await connect(door, "/ws", ["tty"])
        await socket.send(b"hello")
        assert await socket.recv() == b"hello"
        assert socket.subprotocol == "tty"
        assert socket.protocol.extensions == []
        await socket.close()


async def test_a_wrong_secret_is_named():
    async with door_for(echo) as door:
        with pytest.raises(GuestError, match="refused our secret"):
            await connect(Door(door.host, door.port, "wrong"), "/ws")


async def test_nobody_there():
    with pytest.raises(GuestError, match="cannot be reached"):
        await connect(Door("127.0.0.1", 1, SECRET), "/ws")


async def test_a_silent_door_is_bounded():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        with pytest.raises(GuestError, match=r"did not answer within 0\.1 s"):
            await connect(Door("127.0.0.1", port_of(server), SECRET), "/ws", timeout=0.1)


async def test_what_is_no_websocket():
    async def banner(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_10.0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(banner, "127.0.0.1", 0)
    async with server:
        with pytest.raises(GuestError, match="does not speak WebSocket"):
            await connect(Door("127.0.0.1", port_of(server), SECRET), "/ws")


async def test_a_guest_cannot_send_us_elsewhere():
    visitors = []

    async def elsewhere(socket):
        visitors.append(socket)

    async with serve(elsewhere, "127.0.0.1", 0) as victim:

        def redirect(connection, _):
            response = connection.respond(http.HTTPStatus.FOUND, "")
            response.headers["Location"] = f"ws://127.0.0.1:{port_of(victim)}/"
            return response

        async with serve(elsewhere, "127.0.0.1", 0, process_request=redirect) as guest:
            with pytest.raises(GuestError):
                await connect(Door("127.0.0.1", port_of(guest), SECRET), "/ws")
    assert visitors == []


async def test_the_secret_is_in_no_log(caplog):
    with caplog.at_level(logging.DEBUG):
        async with door_for(echo) as door:
            await (await connect(door, "/ws")).close()
    ours = [record for record in caplog.records if record.name != "websockets.server"]
    assert not any(SECRET in record.getMessage() for record in ours)


def test_the_secret_is_not_in_the_repr():
    assert SECRET not in repr(Door("127.0.0.1", 1, SECRET))


async def test_the_terminal_is_proved_by_its_first_output():
    hellos = []

    async def ttyd(socket):
        hellos.append(await socket.recv())
        await socket.send(b"1title")
        await socket.send(b"2{}")
        await socket.send(b"0agent@desktop:~$ ")
        await socket.wait_closed()

    async with door_for(ttyd) as door:
        await probe_terminal(door)
    assert hellos == [b'{"AuthToken": "", "columns": 80, "rows": 24}']


async def test_looking_again_does_not_attach_to_the_terminal():
    heard = []

    async def ttyd(socket):
        heard.extend([message async for message in socket])

    async with door_for(ttyd) as door:
        await probe_terminal_gently(door)
    assert heard == []
    with pytest.raises(GuestError):
        await probe_terminal_gently(door)


async def test_a_terminal_that_shows_nothing_has_failed():
    async def mute(socket):
        await socket.recv()
        await socket.wait_closed()

    async with door_for(mute) as door:
        with pytest.raises(GuestError, match="showed nothing"):
            await probe_terminal(door, timeout=0.2)


async def test_a_terminal_that_closes_has_failed():
    async def gone(socket):
        await socket.recv()

    async with door_for(gone) as door:
        with pytest.raises(GuestError, match="closed before"):
            await probe_terminal(door)
