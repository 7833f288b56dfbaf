"""The egress proxy of one desktop: who asks is known by the socket that the question comes from."""

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h11

from lebureau_app.errors import Conflict
from lebureau_app.gateway.egress.dial import Dialer, Resolve, SystemResolver
from lebureau_app.gateway.egress.forward import Forwarder
from lebureau_app.gateway.egress.peer import NotHttp, Peer, PeerGone
from lebureau_app.gateway.egress.policy import EgressPolicy, Verdict
from lebureau_app.gateway.egress.record import EgressRecord
from lebureau_app.gateway.egress.refusal import Refusal, malformed
from lebureau_app.gateway.egress.target import Target, target_of
from lebureau_app.gateway.egress.tunnel import splice

_STREAM_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """The bounds of one desktop's proxy; times in seconds.

    Attributes:
        connections: How many the desktop may have open at once.
        dns: For looking up a name.
        connect: For a connection, over all addresses of a name.
        request: For the next request on a connection.
        silence: Between two pieces of an HTTP exchange, also for the answer to begin.
        tunnel: Without a byte on either way of a tunnel.
        hang_up: Between two looks whether the desktop is still there.
    """

    connections: int = 256
    dns: float = 10
    connect: float = 15
    request: float = 120
    silence: float = 900
    tunnel: float = 3600
    hang_up: float = 2


class EgressProxy:
    """A forward proxy on a Unix socket: CONNECT, and plain HTTP in absolute-form.

    Args:
        desktop_id: Whose way out it is.
        socket_path: Where it listens; mode 0600.
        policy_source: The policy that holds now; asked for each request.
        log: Takes a record of each tunnel and each request when it is over.
        resolve: Finds the addresses of a name; the host's own resolver unless given.
        limits: The bounds.
    """

    def __init__(
        self,
        desktop_id: str,
        socket_path: Path,
        policy_source: Callable[[], EgressPolicy],
        log: Callable[[EgressRecord], None],
        *,
        resolve: Resolve | None = None,
        limits: EgressLimits | None = None,
    ) -> None:
        self._desktop_id = desktop_id
        self._path = socket_path
        self._policy_source = policy_source
        self._log = log
        self._limits = limits or EgressLimits()
        self._resolver = SystemResolver()
        self._dialer = Dialer(
            resolve or self._resolver,
            dns_timeout=self._limits.dns,
            connect_timeout=self._limits.connect,
        )
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket that a dead server has left behind is replaced.

        Raises:
            Conflict: Something listens there already.
            OSError: The socket cannot be made, such as for a path that is too long.
        """
        listening = await asyncio.to_thread(_listen, self._path)
        self._server = await asyncio.start_unix_server(
            self._accepted, sock=listening, limit=_STREAM_LIMIT
        )

    async def close(self) -> None:
        """Close every connection, stop listening and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._path.unlink(missing_ok=True)
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        self._resolver.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._attend(Peer(h11.SERVER, reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _attend(self, client: Peer) -> None:
        """Serve one connection of the desktop to its end."""
        try:
            async with asyncio.TaskGroup() as both:
                watch = both.create_task(self._until_hung_up(client))
                await self._serve(client)
                watch.cancel()
        except* (PeerGone, TimeoutError):
            pass
        finally:
            client.writer.close()

    async def _until_hung_up(self, client: Peer) -> None:
        """Watch for a desktop that has gone while nothing is read from it.

        A half-closed connection may still want its answer; only one that is closed both ways,
        and read to its end, is over.

        Raises:
            PeerGone: The desktop has closed its connection.
        """
        poll = select.poll()
        poll.register(client.writer.get_extra_info("socket"), 0)
        while True:
            if client.reader.at_eof() and poll.poll(0):
                raise PeerGone("the desktop has closed its connection")
            await asyncio.sleep(self._limits.hang_up)

    async def _serve(self, client: Peer) -> None:
        if len(self._serving) > self._limits.connections:
            await self._refuse(client, _too_many(self._limits.connections))
            return
        forwarder = Forwarder(client, self._dialer, silence=self._limits.silence)
        try:
            while await self._answer(client, forwarder):
                pass
        finally:
            forwarder.close()

    async def _answer(self, client: Peer, forwarder: Forwarder) -> bool:
        """Answer one request; tells whether the connection can take another one."""
        try:
            request = await client.next_event(self._limits.request)
        except NotHttp as error:
            await self._refuse(client, malformed(f"This is not HTTP/1.1: {error}.", error.status))
            return False
        if not isinstance(request, h11.Request):
            return False
        record = EgressRecord(time.time(), self._desktop_id, request.method.decode("ascii"))
        began = time.monotonic()
        try:
            await self._carry(client, request, forwarder, record)
        except Refusal as refusal:
            record.verdict, record.reason = refusal.verdict, refusal.what
            await self._refuse(client, refusal)
        except (PeerGone, TimeoutError) as error:
            record.verdict, record.reason = "failed", str(error)
            raise
        finally:
            record.seconds = time.monotonic() - began
            self._log(record)
        return client.next_cycle()

    async def _carry(
        self, client: Peer, request: h11.Request, forwarder: Forwarder, record: EgressRecord
    ) -> None:
        target = target_of(request)
        record.host, record.port = target.host, target.port
        verdict = self._policy_source().decide(target.host, target.port)
        record.reason = verdict.reason
        if not verdict.allowed:
            raise _denied(target, verdict)
        if request.method == b"CONNECT":
            await self._tunnel(client, target, verdict, record)
        else:
            await forwarder.exchange(request, target, verdict, record)

    async def _tunnel(
        self, client: Peer, target: Target, verdict: Verdict, record: EgressRecord
    ) -> None:
        upstream = await self._dialer.dial(target.host, target.port, verdict)
        record.address = upstream.address
        try:
            established = h11.Response(
                status_code=200, headers=[], reason=b"Connection established"
            )
            await client.send(established, self._limits.silence)
            await splice(client, upstream, record, self._limits.tunnel)
        finally:
            upstream.writer.close()

    async def _refuse(self, client: Peer, refusal: Refusal) -> None:
        patience = self._limits.silence
        await client.send(refusal.response(), patience)
        if not client.answers_head:
            await client.send(h11.Data(data=refusal.body()), patience)
        await client.send(h11.EndOfMessage(), patience)


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, for its owner only from the first moment on."""
    if _somebody_listens(path):
        raise Conflict(
            f"Another process serves the way out at {path}.",
            hint="Only one Le Bureau can use a home folder: stop the other one.",
        )
    fresh = path.with_name(f"{path.name}~")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(fresh))
        fresh.chmod(0o600)
        listening.listen()
        fresh.replace(path)
    except OSError:
        listening.close()
        fresh.unlink(missing_ok=True)
        raise
    return listening


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        with contextlib.suppress(OSError):
            knock.settimeout(1)
            knock.connect(str(path))
            return True
    return False


def _denied(target: Target, verdict: Verdict) -> Refusal:
    return Refusal(
        403,
        "http_request_denied",
        f"Le Bureau did not connect to {target.host}:{target.port}: {verdict.reason}.",
        verdict.advice,
    )


def _too_many(limit: int) -> Refusal:
    return Refusal(
        503,
        "connection_limit_reached",
        f"This desktop has {limit} connections open, which is as many as it may have.",
        "Close some and try again.",
    )
