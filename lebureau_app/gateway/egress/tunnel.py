"""What flows through a CONNECT once it stands: bytes both ways, each way until its own end."""

import asyncio
from collections.abc import Callable

from lebureau_app.gateway.egress.dial import Upstream
from lebureau_app.gateway.egress.peer import Peer
from lebureau_app.gateway.egress.record import EgressRecord

_PIECE = 128 * 1024


async def splice(client: Peer, upstream: Upstream, record: EgressRecord, idle: float) -> None:
    """Join two connections until both ways have ended, one breaks, or both are silent.

    Args:
        client: The desktop's side, its CONNECT already answered.
        upstream: The destination's side.
        record: Counts the bytes.
        idle: Seconds of silence on both ways that end the tunnel.
    """

    def went_up(count: int) -> None:
        record.bytes_up += count

    def went_down(count: int) -> None:
        record.bytes_down += count

    early, _ = client.http.trailing_data
    upstream.writer.write(early)
    went_up(len(early))
    try:
        async with asyncio.timeout(idle) as silence, asyncio.TaskGroup() as ways:
            ways.create_task(_pour(client.reader, upstream.writer, went_up, silence, idle))
            ways.create_task(_pour(upstream.reader, client.writer, went_down, silence, idle))
    except* (OSError, TimeoutError):
        pass


async def _pour(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    count: Callable[[int], None],
    silence: asyncio.Timeout,
    idle: float,
) -> None:
    now = asyncio.get_running_loop().time
    while data := await source.read(_PIECE):
        silence.reschedule(now() + idle)
        sink.write(data)
        await sink.drain()
        count(len(data))
    sink.write_eof()
