"""Short conversations with QEMU's monitor (QMP, docs/interop/qmp-spec in QEMU's source).

The monitor serves one client at a time, so every conversation is brief: connect, prove who is
there, ask, leave.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from qemu.qmp import ConnectError, ExecInterruptedError, QMPClient, QMPError

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Absent(Exception):
    """Nobody listens on the monitor's socket: QEMU is not running."""


class Silent(Exception):
    """QEMU is there, but its monitor did not answer in time or not as it should."""


class Stranger(Exception):
    """Another machine answers on this socket."""


@asynccontextmanager
async def conversation(
    socket: Path, desktop_id: str, uuid: str, timeout: float
) -> AsyncIterator[QMPClient]:
    """Speak with one machine's monitor, after it has proved to be that machine.

    Args:
        socket: The monitor's Unix socket.
        desktop_id: The name that the machine must carry.
        uuid: The UUID that the machine must carry.
        timeout: Seconds for the whole conversation.

    Raises:
        Absent: QEMU is not running.
        Silent: It does not answer in time.
        Stranger: The machine that answers is not the one that is meant.
    """
    client = QMPClient()
    try:
        async with asyncio.timeout(timeout):
            await client.connect(str(socket))
            try:
                await _prove(client, desktop_id, uuid)
                yield client
            finally:
                with suppress(QMPError, OSError, EOFError):
                    await client.disconnect()
    except ConnectError as error:
        gone = (FileNotFoundError, ConnectionError, EOFError)
        raise (Absent if isinstance(error.exc, gone) else Silent)(str(error)) from error
    except ExecInterruptedError as error:
        raise Absent("QEMU ended during the conversation.") from error
    except (TimeoutError, QMPError, OSError) as error:
        raise Silent(str(error) or f"QEMU's monitor did not answer in {timeout:g} s.") from error


async def told(client: QMPClient, question: str) -> dict[str, Any]:
    """What a command without arguments answers with an object; empty if it is something else."""
    answer = await client.execute(question)
    return answer if isinstance(answer, dict) else {}


async def listed(client: QMPClient, question: str) -> list[Any]:
    """What a command without arguments answers with a list; empty if it is something else."""
    answer = await client.execute(question)
    return answer if isinstance(answer, list) else []


async def quit_now(client: QMPClient) -> None:
    """Tell QEMU to end; it may be gone before it has answered."""
    with suppress(ExecInterruptedError):
        await client.execute("quit")


async def _prove(client: QMPClient, desktop_id: str, uuid: str) -> None:
    name = (await told(client, "query-name")).get("name")
    mark = (await told(client, "query-uuid")).get("UUID")
    if (name, mark) != (desktop_id, uuid):
        raise Stranger(f"The machine there is {name} ({mark}), not {desktop_id} ({uuid}).")
