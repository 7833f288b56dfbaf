"""One HTTP/1.1 connection (RFC 9112), on either side of the proxy: h11 over a pair of streams."""

import asyncio
import contextlib

import h11

_LONGEST_HEAD = 64 * 1024
_PIECE = 64 * 1024


class PeerGone(Exception):
    """The peer closed the connection, or broke off in the midst of something."""


class NotHttp(PeerGone):
    """What the peer said is not HTTP.

    Attributes:
        status: The HTTP status that says so.
    """

    def __init__(self, error: h11.RemoteProtocolError) -> None:
        super().__init__(str(error))
        self.status = error.error_status_hint


class Peer:
    """A connection that speaks in events of h11.

    Args:
        role: `h11.SERVER` towards the desktop, `h11.CLIENT` towards a destination.
        reader: What the peer sends.
        writer: What the peer gets.

    Attributes:
        sent: Bytes sent so far.
        received: Bytes received so far.
        answers_head: Whether the last request was a HEAD, whose answer has no body.
    """

    def __init__(
        self, role: type, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=_LONGEST_HEAD)
        self.reader = reader
        self.writer = writer
        self.sent = 0
        self.received = 0
        self.answers_head = False

    async def next_event(self, timeout: float) -> h11.Event | type:
        """The next event of the peer.

        Args:
            timeout: Seconds of silence that are too long.

        Raises:
            PeerGone: The connection broke.
            NotHttp: The peer ended in the midst of an event, or there is no sense in it.
            TimeoutError: The peer is silent.
        """
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(timeout):
                    data = await self.reader.read(_PIECE)
                self.received += len(data)
                self.http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise NotHttp(error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error
        if isinstance(event, h11.Request):
            self.answers_head = event.method == b"HEAD"
        return event

    async def send(self, event: h11.Event, timeout: float) -> None:
        """Send an event.

        Args:
            event: What to send.
            timeout: Seconds in which the peer has to take it.

        Raises:
            PeerGone: The peer takes nothing any more.
            TimeoutError: The peer takes too long.
        """
        data = self.http.send(event) or b""
        self.sent += len(data)
        try:
            self.writer.write(data)
            async with asyncio.timeout(timeout):
                await self.writer.drain()
        except TimeoutError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error

    def next_cycle(self) -> bool:
        """Get ready for another request; false where the connection is of no use for that."""
        if self.http.their_state is h11.SEND_BODY:
            with contextlib.suppress(h11.RemoteProtocolError):
                self.http.next_event()  # the end of an empty body has not been fetched yet
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return True
        return False
