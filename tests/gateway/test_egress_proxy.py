import asyncio
import contextlib
import hashlib
import json
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import h11
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from lebureau_app.errors import Conflict
from lebureau_app.gateway.egress import (
    HOST_NAME,
    AllowedTarget,
    EgressLimits,
    EgressLog,
    EgressPolicy,
    EgressProxy,
    EgressRecord,
    Verdict,
)
from lebureau_app.gateway.egress.addresses import Kind
from lebureau_app.gateway.egress.peer import Peer
from tests.gateway.servers import port_of, served

BIG = bytes(range(256)) * 40_000


class Anywhere(EgressPolicy):
    """Lets everything through, since all destinations of these tests are on loopback."""

    def decide(self, host: str, port: int) -> Verdict:
        return Verdict(True, "test", kinds=frozenset(Kind))


class Names:
    """A resolver that answers from a list, a different answer each time if told so."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.asked: list[str] = []
        self._answers = {name.replace("_", "."): answer for name, answer in answers.items()}

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


class WayOut:
    """A proxy under test and what it has logged."""

    def __init__(self, path: Path, **options) -> None:
        self.path = path
        self.policy: EgressPolicy = Anywhere()
        self.records: list[EgressRecord] = []
        self._logged = asyncio.Event()
        self.proxy = EgressProxy("dsk_1", path, lambda: self.policy, self._log, **options)

    def _log(self, record: EgressRecord) -> None:
        self.records.append(record)
        self._logged.set()

    async def logged(self, count: int) -> list[EgressRecord]:
        async with asyncio.timeout(5):
            while len(self.records) < count:
                self._logged.clear()
                await self._logged.wait()
        return self.records

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))

    async def peer(self) -> Peer:
        return Peer(h11.CLIENT, *await self.connect())

    async def ask(self, raw: bytes) -> bytes:
        """Send bytes, read all that comes until the proxy closes."""
        reader, writer = await self.connect()
        writer.write(raw)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return answer

    async def tunnel(self, place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.connect()
        writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head == b"HTTP/1.1 200 Connection established\r\n\r\n", head
        return reader, writer


@contextlib.asynccontextmanager
async def way_out(tmp_path: Path, **options) -> AsyncIterator[WayOut]:
    way = WayOut(tmp_path / "egress.sock", **options)
    await way.proxy.start()
    try:
        yield way
    finally:
        await asyncio.wait_for(way.proxy.close(), 5)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def destination(handler: Handler) -> AsyncIterator[int]:
    """A TCP server on loopback; yields its port."""

    async def handled(reader, writer):
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(handled, "127.0.0.1", 0) as server:
        yield port_of(server)


def website() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    @app.head("/hello")
    async def hello(request: Request):
        return PlainTextResponse(f"hello {request.url.query}", headers={"X-Kept": "yes"})

    @app.get("/headers")
    async def headers(request: Request):
        return [[name.decode(), value.decode()] for name, value in request.headers.raw]

    @app.get("/big")
    async def big():
        return StreamingResponse(BIG[at : at + 65536] for at in range(0, len(BIG), 65536))

    @app.post("/digest")
    async def digest(request: Request):
        return PlainTextResponse(hashlib.sha256(await request.body()).hexdigest())

    return app


@contextlib.asynccontextmanager
async def website_port() -> AsyncIterator[int]:
    async with served(website()) as url:
        yield int(url.rpartition(":")[2])


async def exchange(
    peer: Peer,
    method: str,
    url: str,
    body: bytes = b"",
    headers: list[tuple[str, str]] | None = None,
) -> tuple[h11.Response, bytes]:
    """One exchange on a connection that is kept."""
    place = url.split("/")[2]
    head = h11.Request(method=method, target=url, headers=[("Host", place), *(headers or [])])
    await peer.send(head, 5)
    if body:
        await peer.send(h11.Data(data=body), 5)
    await peer.send(h11.EndOfMessage(), 5)
    response, received = None, b""
    while True:
        event = await peer.next_event(5)
        if isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            received += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert response is not None
            peer.next_cycle()
            return response, received


async def test_keep_alive_with_several_exchanges(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        peer = await way.peer()
        for turn in range(3):
            response, body = await exchange(peer, "GET", f"http://127.0.0.1:{port}/hello?{turn}")
            assert (response.status_code, body) == (200, f"hello {turn}".encode())
            assert (b"x-kept", b"yes") in response.headers
        peer.writer.close()
    assert [record.method for record in way.records] == ["GET"] * 3
    assert {(record.host, record.port, record.address) for record in way.records} == {
        ("127.0.0.1", port, "127.0.0.1")
    }
    assert all(record.verdict == "allowed" and record.bytes_down > 100 for record in way.records)


async def test_pipelined_requests_are_answered_in_turn(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        requests = b"".join(
            f"GET http://127.0.0.1:{port}/hello?{turn} HTTP/1.1\r\nHost: x\r\n"
            f"{'Connection: close' if turn == 9 else 'X: y'}\r\n\r\n".encode()
            for turn in range(10)
        )
        answer = await way.ask(requests)
    bodies = [part.split(b"\r\n")[0] for part in answer.split(b"\r\n\r\n")[1:]]
    assert [body.partition(b"HTTP/1.1")[0] for body in bodies] == [
        f"hello {turn}".encode() for turn in range(10)
    ]


async def test_pipelined_requests_to_several_places(tmp_path):
    async with website_port() as one, website_port() as two, way_out(tmp_path) as way:
        answer = await way.ask(
            f"GET http://127.0.0.1:{one}/hello?one HTTP/1.1\r\nHost: x\r\n\r\n"
            f"GET http://127.0.0.1:{two}/hello?two HTTP/1.1\r\nHost: x\r\n\r\n"
            f"GET http://127.0.0.1:{one}/hello?three HTTP/1.0\r\n\r\n".encode()
        )
    assert answer.index(b"hello one") < answer.index(b"hello two") < answer.index(b"hello three")
    assert [record.port for record in way.records] == [one, two, one]


async def test_head_has_no_body(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        peer = await way.peer()
        response, body = await exchange(peer, "HEAD", f"http://127.0.0.1:{port}/hello?x")
        assert (response.status_code, body) == (200, b"")
        assert (b"content-length", b"7") in response.headers
        _, body = await exchange(peer, "GET", f"http://127.0.0.1:{port}/hello?x")
        assert body == b"hello x"
        peer.writer.close()


async def test_large_bodies_both_ways(tmp_path):
    digest = hashlib.sha256(BIG).hexdigest().encode()
    async with website_port() as port, way_out(tmp_path) as way:
        peer = await way.peer()
        length = [("Content-Length", str(len(BIG)))]
        url = f"http://127.0.0.1:{port}/digest"
        assert (await exchange(peer, "POST", url, BIG, length))[1] == digest
        chunked = [("Transfer-Encoding", "chunked")]
        assert (await exchange(peer, "POST", url, BIG, chunked))[1] == digest
        assert (await exchange(peer, "GET", f"http://127.0.0.1:{port}/big"))[1] == BIG
        peer.writer.close()
    assert way.records[0].bytes_up > len(BIG)
    assert way.records[1].bytes_up > len(BIG)
    assert way.records[2].bytes_down > len(BIG)


async def test_an_old_client_gets_a_body_without_chunks(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        answer = await way.ask(f"GET http://127.0.0.1:{port}/big HTTP/1.0\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == BIG
    assert b"chunked" not in head


async def test_a_body_that_ends_with_the_connection(tmp_path):
    async def old(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        await writer.drain()

    async with destination(old) as port, way_out(tmp_path) as way:
        peer = await way.peer()
        _, body = await exchange(peer, "GET", f"http://127.0.0.1:{port}/")
        assert body == b"until the end"
        assert (await exchange(peer, "GET", f"http://127.0.0.1:{port}/"))[1] == body
        peer.writer.close()


async def test_headers_of_one_hop_stay_on_that_hop(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        answer = await way.ask(
            f"GET http://user:secret@127.0.0.1:{port}/headers HTTP/1.1\r\nHost: lies.example\r\n"
            "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nX-Own: 1\r\n"
            "Connection: close, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\nTE: trailers\r\n"
            "Authorization: Bearer k\r\n\r\n".encode()
        )
    seen = dict(json.loads(answer.partition(b"\r\n\r\n")[2]))
    assert seen == {"host": f"127.0.0.1:{port}", "x-own": "1", "authorization": "Bearer k"}


async def test_expect_100_continue_is_the_destinations_to_answer(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        reader, writer = await way.connect()
        writer.write(
            f"POST http://127.0.0.1:{port}/digest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 100")
        writer.write(b"hi")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.endswith(hashlib.sha256(b"hi").hexdigest().encode())


async def test_an_early_no_ends_the_upload(tmp_path):
    async def no(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await reader.read(1)

    async with destination(no) as port, way_out(tmp_path) as way:
        answer = await way.ask(
            f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 1000000\r\n\r\nstart".encode()
        )
    assert answer.startswith(b"HTTP/1.1 413 Too Large")
    assert answer.endswith(b"no")


async def test_a_kept_connection_that_died_is_replaced(tmp_path):
    served_requests = []

    async def one_each(reader, writer):
        served_requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with destination(one_each) as port, way_out(tmp_path) as way:
        peer = await way.peer()
        for _ in range(5):
            assert (await exchange(peer, "GET", f"http://127.0.0.1:{port}/"))[1] == b"ok"
        peer.writer.close()
    assert len(served_requests) == 5


async def test_a_response_that_breaks_off_is_seen_to_break_off(tmp_path):
    async def half(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async with destination(half) as port, way_out(tmp_path) as way:
        answer = await way.ask(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        record = (await way.logged(1))[0]
    assert b"content-length: 100" in answer.lower()
    assert answer.endswith(b"half")
    assert record.verdict == "failed"


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_a_tunnel_carries_bytes_both_ways_and_counts_them(tmp_path):
    async with destination(echo) as port, way_out(tmp_path) as way:
        reader, writer = await way.tunnel(f"127.0.0.1:{port}")

        async def push():
            writer.write(BIG)
            await writer.drain()
            writer.write_eof()

        pushing = asyncio.create_task(push())
        assert await asyncio.wait_for(reader.read(-1), 20) == BIG
        await pushing
        writer.close()
        record = (await way.logged(1))[0]
    assert (record.method, record.host, record.port) == ("CONNECT", "127.0.0.1", port)
    assert (record.bytes_up, record.bytes_down) == (len(BIG), len(BIG))
    assert record.verdict == "allowed"


async def test_bytes_right_behind_connect_are_not_lost(tmp_path):
    async with destination(echo) as port, way_out(tmp_path) as way:
        reader, writer = await way.connect()
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"early"
        writer.close()


async def test_a_half_closed_tunnel_still_answers(tmp_path):
    async def answers_at_the_end(reader, writer):
        received = await reader.read(-1)
        writer.write(b"got " + received)
        await writer.drain()

    async with destination(answers_at_the_end) as port, way_out(tmp_path) as way:
        reader, writer = await way.tunnel(f"127.0.0.1:{port}")
        writer.write(b"all")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"got all"
        writer.close()


async def test_a_destination_that_speaks_first_and_leaves_first(tmp_path):
    async def banner(reader, writer):
        writer.write(b"SSH-2.0-x\r\n")
        await writer.drain()

    async with destination(banner) as port, way_out(tmp_path) as way:
        reader, writer = await way.tunnel(f"127.0.0.1:{port}")
        assert await asyncio.wait_for(reader.read(), 5) == b"SSH-2.0-x\r\n"
        writer.close()
        await way.logged(1)


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
async def test_a_desktop_that_vanishes_frees_the_destination(tmp_path, method):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def waits(reader, writer):
        if method == "GET":
            await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        gone.set()

    limits = EgressLimits(hang_up=0.05)
    async with destination(waits) as port, way_out(tmp_path, limits=limits) as way:
        _, writer = await way.connect()
        target = f"127.0.0.1:{port}" if method == "CONNECT" else f"http://127.0.0.1:{port}/"
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.wait_for(arrived.wait(), 5)
        writer.transport.abort()
        await asyncio.wait_for(gone.wait(), 5)
        await way.logged(1)


async def test_a_silent_tunnel_ends(tmp_path):
    async def silent(reader, writer):
        await reader.read()

    limits = EgressLimits(tunnel=0.1)
    async with destination(silent) as port, way_out(tmp_path, limits=limits) as way:
        reader, writer = await way.tunnel(f"127.0.0.1:{port}")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_close_ends_every_tunnel_and_removes_the_socket(tmp_path):
    async with destination(echo) as port, way_out(tmp_path) as way:
        tunnels = [await way.tunnel(f"127.0.0.1:{port}") for _ in range(5)]
        await way.proxy.close()
        for reader, writer in tunnels:
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert not way.path.exists()
    assert len(way.records) == 5


def refusal(answer: bytes) -> tuple[str, dict[str, str], str]:
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return status, {name.lower(): value for name, value in (x.split(": ", 1) for x in lines)}, body


async def test_a_refused_connect_says_why_to_every_program(tmp_path):
    async with way_out(tmp_path) as way:
        way.policy = EgressPolicy()
        answer = await way.ask(
            b"CONNECT 192.168.1.1:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    status, headers, body = refusal(answer)
    what = "Le Bureau did not connect to 192.168.1.1:443: it is a private address."
    assert status == f"HTTP/1.1 403 {what}"
    assert headers["proxy-status"] == f'LeBureau; error=http_request_denied; details="{what}"'
    assert body.startswith(what + "\n")
    assert "ask the person" in body
    assert (way.records[0].verdict, way.records[0].reason) == ("denied", what)
    assert way.records[0].address is None


async def test_a_refused_request_leaves_the_connection_usable(tmp_path):
    async with website_port() as port, way_out(tmp_path) as way:
        way.policy = EgressPolicy([AllowedTarget.from_url(f"http://localhost:{port}/v1")])
        peer = await way.peer()
        response, body = await exchange(peer, "GET", "http://127.0.0.1/latest/meta-data")
        assert response.status_code == 403
        assert b"loopback" in body
        response, body = await exchange(peer, "HEAD", "http://169.254.169.254/latest")
        assert (response.status_code, body) == (403, b"")
        _, body = await exchange(peer, "GET", f"http://{HOST_NAME}:{port}/hello?x")
        assert body == b"hello x"
        peer.writer.close()


async def test_the_base_url_of_a_key_is_reached_by_connect_too(tmp_path):
    async with destination(echo) as port, way_out(tmp_path) as way:
        way.policy = EgressPolicy([AllowedTarget(HOST_NAME, port)])
        reader, writer = await way.tunnel(f"{HOST_NAME}:{port}")
        writer.write(b"ping")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"ping"
        writer.close()
        assert (await way.logged(1))[0].address == "127.0.0.1"


async def test_a_name_that_changes_its_mind_gains_nothing(tmp_path):
    names = Names(rebind_example=[["1.1.1.1"], ["127.0.0.1"]])
    limits = EgressLimits(connect=0.2)
    async with destination(echo) as port, way_out(tmp_path, resolve=names, limits=limits) as way:

        class PortOpen(EgressPolicy):
            def decide(self, host: str, port: int) -> Verdict:
                return super().decide(host, 443)

        way.policy = PortOpen()
        request = f"CONNECT rebind.example:{port} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
        request = request.replace(b"Connection", b"Host: x\r\nConnection")
        await way.ask(request)
        assert names.asked == ["rebind.example"]
        assert way.records[0].address in (None, "1.1.1.1")
        status, _, body = refusal(await way.ask(request))
    assert status.startswith("HTTP/1.1 403")
    assert "it leads to 127.0.0.1, a loopback address" in body


async def test_only_the_allowed_addresses_of_a_name_are_tried(tmp_path):
    names = Names(mixed_example=[["10.0.0.1", "127.0.0.1"]])
    async with destination(echo) as port, way_out(tmp_path, resolve=names) as way:

        class LoopbackOnly(EgressPolicy):
            def decide(self, host: str, port: int) -> Verdict:
                return Verdict(True, "test", kinds=frozenset({Kind.LOOPBACK}))

        way.policy = LoopbackOnly()
        _, writer = await way.tunnel(f"mixed.example:{port}")
        writer.close()
        assert (await way.logged(1))[0].address == "127.0.0.1"


async def test_the_next_address_is_tried_when_one_refuses(tmp_path):
    names = Names(two_example=[["127.0.0.2", "::1", "127.0.0.1"]])
    async with destination(echo) as port, way_out(tmp_path, resolve=names) as way:
        _, writer = await way.tunnel(f"two.example:{port}")
        writer.close()
        assert (await way.logged(1))[0].address == "127.0.0.1"


async def test_this_machines_own_address_is_not_the_public(tmp_path, monkeypatch):
    monkeypatch.setattr("lebureau_app.gateway.egress.policy.kind_of", lambda _: Kind.PUBLIC)
    async with destination(echo) as port, way_out(tmp_path) as way:

        class PublicOnly(EgressPolicy):
            def decide(self, host: str, port: int) -> Verdict:
                return Verdict(True, "public", kinds=frozenset({Kind.PUBLIC}))

        way.policy = PublicOnly()
        status, _, _ = refusal(
            await way.ask(
                f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
        )
    assert "it is the machine Le Bureau runs on" in status


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        ("nowhere.example:443", 502, "There is no address for nowhere.example"),
        ("127.0.0.1:1", 502, "cannot be reached: connection refused"),
    ],
)
async def test_what_does_not_work_is_said(tmp_path, place, status, words):
    async with way_out(tmp_path, resolve=Names()) as way:
        answer = await way.ask(
            f"CONNECT {place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert words in answer.decode()
    assert way.records[0].verdict == "failed"


async def test_a_slow_resolver_is_bounded(tmp_path):
    async def never(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with way_out(tmp_path, resolve=never, limits=EgressLimits(dns=0.05)) as way:
        answer = await way.ask(
            b"CONNECT slow.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 504 ")


async def test_a_destination_that_never_answers_is_bounded(tmp_path):
    async def silent(reader, writer):
        await reader.read()

    limits = EgressLimits(silence=0.1)
    async with destination(silent) as port, way_out(tmp_path, limits=limits) as way:
        answer = await way.ask(
            f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
    assert answer.startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01 TLS\r\n\r\n", 400),
        (b"GET /path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET https://x.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET http:/// HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://x:0/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b'GET http://x"y/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400),
        (b"CONNECT x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"CONNECT x:99999 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"CONNECT [fe80::1%25eth0]:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"CONNECT [:::]:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (
            b"GET http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
    ],
)
async def test_nonsense_is_refused_in_the_same_manner(tmp_path, raw, status):
    async with way_out(tmp_path) as way:
        answer = await way.ask(raw)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Le Bureau's egress proxy" in answer


async def test_connections_are_counted_for_each_desktop(tmp_path):
    async with destination(echo) as port:
        async with way_out(tmp_path, limits=EgressLimits(connections=3)) as way:
            tunnels = [await way.tunnel(f"127.0.0.1:{port}") for _ in range(3)]
            answer = await way.ask(b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"as many as it may have" in answer
            tunnels.pop()[1].close()
            await way.logged(1)
            tunnels.append(await way.tunnel(f"127.0.0.1:{port}"))
            for _, writer in tunnels:
                writer.close()


async def test_the_socket_is_private_and_a_stale_one_is_replaced(tmp_path):
    path = tmp_path / "egress.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with way_out(tmp_path) as way:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = WayOut(path)
        with pytest.raises(Conflict, match="Another process"):
            await other.proxy.start()
        assert (await way.ask(b"x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert list(tmp_path.iterdir()) == []


async def test_the_log_has_names_and_bytes_but_no_paths_queries_or_headers(tmp_path):
    log = EgressLog(tmp_path / "egress.log")
    proxy = EgressProxy("dsk_1", tmp_path / "s", EgressPolicy, log)
    await proxy.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(
        b"GET http://me:pw@10.0.0.1/path-secret?query=secret HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer header-secret\r\nConnection: close\r\n\r\n"
    )
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await proxy.close()
    log.close()
    text = (tmp_path / "egress.log").read_text()
    assert "secret" not in text
    assert "pw" not in text
    line = json.loads(text)
    assert {name: line[name] for name in ("desktop", "method", "host", "port", "verdict")} == {
        "desktop": "dsk_1",
        "method": "GET",
        "host": "10.0.0.1",
        "port": 80,
        "verdict": "denied",
    }
    assert set(line) == {
        *("time", "desktop", "method", "host", "port", "address"),
        *("verdict", "reason", "bytesUp", "bytesDown", "seconds"),
    }


def test_the_log_never_outgrows_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("lebureau_app.gateway.egress.record._LARGEST_FILE", 2000)
    log = EgressLog(tmp_path / "egress.log")
    for turn in range(200):
        log(EgressRecord(float(turn), "dsk_1", "CONNECT", host="example.com", port=443))
    log.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 8000
    assert json.loads((tmp_path / "egress.log").read_text().splitlines()[-1])["time"] == 199


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("socat")), reason="curl and socat")
async def test_curl_shows_the_reason(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        bridge_port = free.getsockname()[1]
    async with website_port() as port, way_out(tmp_path) as way:
        way.policy = EgressPolicy([AllowedTarget(HOST_NAME, port)])
        bridge = await asyncio.create_subprocess_exec(
            "socat",
            f"TCP-LISTEN:{bridge_port},bind=127.0.0.1,fork,reuseaddr",
            f"UNIX-CONNECT:{way.path}",
        )
        try:

            async def curl(*arguments: str) -> str:
                process = await asyncio.create_subprocess_exec(
                    *("curl", "-sS", "-v", "--max-time", "10", "--retry", "5"),
                    *("--retry-connrefused", "-x", f"http://127.0.0.1:{bridge_port}"),
                    *arguments,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                output, _ = await process.communicate()
                return output.decode()

            url = f"http://{HOST_NAME}:{port}/hello?curl"
            assert "hello curl" in await curl(url)
            assert "hello curl" in await curl("--proxytunnel", url)
            assert "port 8443 is closed" in await curl("https://example.com:8443/")
            assert "a private address" in await curl("http://10.1.2.3/")
        finally:
            bridge.terminate()
            await bridge.wait()
