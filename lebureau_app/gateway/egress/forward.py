"""Plain HTTP through the proxy (RFC 9110 §7.6): one exchange after the other, bodies streamed."""

import asyncio
from dataclasses import dataclass

import h11

from lebureau_app.gateway.egress.dial import Dialer
from lebureau_app.gateway.egress.peer import Peer, PeerGone
from lebureau_app.gateway.egress.policy import Verdict
from lebureau_app.gateway.egress.record import EgressRecord
from lebureau_app.gateway.egress.refusal import Refusal
from lebureau_app.gateway.egress.target import Target

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Forwarder:
    """Carries the requests of one connection of the desktop to where they go.

    Args:
        client: The desktop's connection.
        dialer: Opens connections to destinations.
        silence: Seconds of silence in the midst of an exchange that end it.
    """

    def __init__(self, client: Peer, dialer: Dialer, *, silence: float) -> None:
        self._client = client
        self._dialer = dialer
        self._silence = silence
        self._kept: _Upstream | None = None

    async def exchange(
        self, request: h11.Request, target: Target, verdict: Verdict, record: EgressRecord
    ) -> None:
        """Carry one request and its response.

        Args:
            request: As the desktop sent it.
            target: Where it goes.
            verdict: What the policy said about that.
            record: Takes the address and counts the bytes.

        Raises:
            Refusal: The destination cannot be reached or does not answer.
            PeerGone: A side broke off after the response had begun: the desktop's connection
                cannot go on.
        """
        kept = self._kept_for(request, target)
        if kept:
            try:
                return await self._carry(request, target, kept, record)
            except Refusal as refusal:
                if refusal.status != 502:
                    raise
        dialled = await self._dialer.dial(target.host, target.port, verdict)
        peer = Peer(h11.CLIENT, dialled.reader, dialled.writer)
        fresh = _Upstream(peer, dialled.address, (target.host.lower(), target.port))
        await self._carry(request, target, fresh, record)

    def close(self) -> None:
        """Close the connection that is kept for another request."""
        if self._kept:
            self._kept.peer.writer.close()
            self._kept = None

    def _kept_for(self, request: h11.Request, target: Target) -> "_Upstream | None":
        """The connection of the last request, where it fits and the request could be repeated."""
        kept = self._kept
        if kept and (
            kept.place != (target.host.lower(), target.port)
            or kept.peer.reader.at_eof()
            or request.method not in (b"GET", b"HEAD")
            or _has_body(request)
        ):
            self.close()
        kept, self._kept = self._kept, None
        return kept

    async def _carry(
        self, request: h11.Request, target: Target, upstream: "_Upstream", record: EgressRecord
    ) -> None:
        peer = upstream.peer
        sent, received = peer.sent, peer.received
        record.address = upstream.address
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as ways:
                await peer.send(_outward(request, target), self._silence)
                body = ways.create_task(self._send_body(peer))
                await self._receive(request, peer)
                body.cancel()
        except* (PeerGone, TimeoutError) as group:
            failure = group.exceptions[0]
        finally:
            record.bytes_up += peer.sent - sent
            record.bytes_down += peer.received - received
            if failure is None and peer.next_cycle():
                self._kept = upstream
            else:
                peer.writer.close()
        if failure and self._client.http.our_state is h11.SEND_RESPONSE:
            raise _no_answer(target, failure)
        if failure:
            raise PeerGone("broken off in the midst of a response")

    async def _send_body(self, upstream: Peer) -> None:
        while self._client.http.their_state is h11.SEND_BODY:
            event = await self._client.next_event(self._silence)
            if isinstance(event, h11.Data):
                try:
                    await upstream.send(h11.Data(data=event.data), self._silence)
                except PeerGone:
                    return  # It wants no more; its answer may still say why.
        await upstream.send(h11.EndOfMessage(), self._silence)

    async def _receive(self, request: h11.Request, upstream: Peer) -> None:
        while True:
            event = await upstream.next_event(self._silence)
            if isinstance(event, h11.InformationalResponse):
                if request.http_version >= b"1.1":
                    await self._client.send(event, self._silence)
            elif isinstance(event, h11.Response):
                await self._client.send(_homeward(event), self._silence)
            elif isinstance(event, h11.Data):
                await self._client.send(h11.Data(data=event.data), self._silence)
            elif isinstance(event, h11.EndOfMessage):
                await self._client.send(h11.EndOfMessage(), self._silence)
                return
            else:
                raise PeerGone("closed without an answer")


@dataclass(frozen=True, slots=True)
class _Upstream:
    """A connection to a destination."""

    peer: Peer
    address: str
    place: tuple[str, int]


def _outward(request: h11.Request, target: Target) -> h11.Request:
    """The request as the destination gets it: its own path, our hop's headers removed."""
    headers = [(b"Host", target.authority.encode()), *_end_to_end(request)]
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    return h11.Request(method=request.method, target=target.path, headers=headers)


def _homeward(response: h11.Response) -> h11.Response:
    return h11.Response(
        status_code=response.status_code,
        reason=response.reason,
        headers=_end_to_end(response),
    )


def _end_to_end(message: h11.Request | h11.Response) -> list[tuple[bytes, bytes]]:
    """The headers that are not just for one hop (RFC 9110 §7.6.1), written as they came."""
    named = b",".join(value for name, value in message.headers if name == b"connection")
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in named.split(b",")}
    return [
        (name, value) for name, value in message.headers.raw_items() if name.lower() not in dropped
    ]


def _has_body(request: h11.Request) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers)


def _no_answer(target: Target, failure: Exception) -> Refusal:
    if isinstance(failure, TimeoutError):
        return Refusal(
            504,
            "http_response_timeout",
            f"{target.host}:{target.port} took too long to answer.",
            "Try again later.",
        )
    return Refusal(
        502,
        "http_response_incomplete",
        f"{target.host}:{target.port} closed the connection without a proper answer.",
        "Try again later.",
    )
