"""SSH to a desktop: one pinned host key, one key of our own, bounded commands.

Our client key is made once and kept in the home folder. Nothing of the machine's own SSH set-up
(configuration files, agent, known hosts) has a say in these connections.
"""

import asyncio
import contextlib
import os
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR

from lebureau_app.errors import GuestError
from lebureau_app.settings import Settings

USER = "agent"
STREAM_LIMIT = 1024 * 1024

_DRAIN = 1.0
_GUEST_GRACE = 2
_NOT_REACHED = "Wait until the desktop has booted; `explain` says how far it is."


def client_key(settings: Settings) -> asyncssh.SSHKey:
    """Our own ed25519 key for all desktops, made at the first call.

    Args:
        settings: Says where the home folder is.

    Returns:
        The private key, kept in `<home>/ssh_key` with mode 0600.
    """
    path = settings.home / "ssh_key"
    if not path.exists():
        _write_once(path, asyncssh.generate_private_key("ssh-ed25519", comment="lebureau"))
    return asyncssh.read_private_key(path)


def authorized_key(settings: Settings) -> str:
    """The public line of our key, as an `authorized_keys` file has it."""
    return client_key(settings).export_public_key().decode().strip()


def _write_once(path: Path, key: asyncssh.SSHKey) -> None:
    """Write the key whole or not at all; the first of several writers wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.export_private_key())
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


async def connect(
    host: str, port: int, host_key: str, *, key: asyncssh.SSHKey, timeout: float = 30
) -> asyncssh.SSHClientConnection:
    """Connect as the user of the desktop.

    Args:
        host: Where the guest's port 22 is reached.
        port: The TCP port there.
        host_key: The pinned host key, in OpenSSH form (`ssh-ed25519 AAAA…`).
        key: Our client key.
        timeout: Seconds for connecting and, again, for signing in.

    Returns:
        A connection that notices within a minute when the desktop is gone.

    Raises:
        GuestError: Nobody answers, the host key is another one, or our key is refused.
    """
    pinned = asyncssh.import_public_key(host_key)
    try:
        return await asyncssh.connect(
            host,
            port,
            username=USER,
            client_keys=[key],
            known_hosts=([pinned], [], []),
            server_host_key_algs=[pinned.get_algorithm()],
            preferred_auth="publickey",
            config=None,
            agent_path=None,
            gss_host=None,
            compression_algs=["none"],
            connect_timeout=timeout,
            login_timeout=timeout,
            keepalive_interval=15,
            keepalive_count_max=3,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise GuestError(
            "The desktop shows another SSH host key than the one that was pinned.",
            hint="Something else may be answering in its place. Restart the desktop; "
            "if it stays so, destroy it.",
        ) from error
    except asyncssh.PermissionDenied as error:
        raise GuestError("The desktop does not accept our SSH key (yet).", hint=_NOT_REACHED) from (
            error
        )
    except (OSError, asyncssh.Error, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise GuestError(
            f"The desktop does not answer on SSH: {reason}.", hint=_NOT_REACHED
        ) from error


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Attributes:
        exit_code: What it returned, 128 and the signal's number when a signal ended it, None when
            it ran out of time.
        stdout: Its standard output, at most the limit; bytes that are no UTF-8 are replaced.
        stderr: Likewise its standard error.
        timed_out: Whether it was ended because its time was over.
        truncated: Whether a stream was longer than the limit.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    timed_out: bool = False
    truncated: bool = False


async def run(
    connection: asyncssh.SSHClientConnection,
    command: str,
    *,
    stdin: bytes | None = None,
    timeout: float = 30,
    limit: int = STREAM_LIMIT,
) -> Completed:
    """Run a person's command through `bash -lc` in the home of the desktop's user.

    Args:
        connection: From `connect`.
        command: One string for the shell.
        stdin: What the command reads; nothing if left out.
        timeout: Seconds after which the command's process group is killed.
        limit: Bytes kept of each stream; the rest is read and dropped.

    Returns:
        How it ended, also when it ran out of time.

    Raises:
        GuestError: The connection broke, or the desktop opened no session.
    """
    # The guest's own deadline holds even where this connection is gone by then.
    deadline = int(timeout) + _GUEST_GRACE
    bounded = f"exec timeout --signal=KILL {deadline} bash -lc {shlex.quote(command)}"
    return await _execute(connection, bounded, stdin or b"", timeout, limit)


async def call(
    connection: asyncssh.SSHClientConnection,
    command: str,
    *,
    stdin: bytes = b"",
    timeout: float = 60,
) -> str:
    """Run one of our own fixed commands and insist on its success.

    Args:
        connection: From `connect`.
        command: A literal of ours; secrets and names of people go through `stdin`.
        stdin: What the command reads.
        timeout: Seconds.

    Returns:
        Its standard output.

    Raises:
        GuestError: It failed or ran out of time; the sentence has the end of its standard error.
    """
    done = await _execute(connection, command, stdin, timeout, STREAM_LIMIT)
    if done.timed_out:
        raise GuestError(f"`{command}` did not end within {timeout:.0f} s in the desktop.")
    if done.exit_code != 0:
        detail = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise GuestError(f"`{command}` failed in the desktop ({done.exit_code}): {detail}")
    return done.stdout


async def _execute(
    connection: asyncssh.SSHClientConnection,
    command: str,
    stdin: bytes,
    timeout: float,
    limit: int,
) -> Completed:
    session = _Bounded(limit)
    try:
        channel, _ = await connection.create_session(lambda: session, command, encoding=None)
    except (OSError, asyncssh.Error) as error:
        raise GuestError(f"The desktop opened no session: {error}.") from error
    timed_out = False
    try:
        channel.write(stdin)
        channel.write_eof()
        async with asyncio.timeout(timeout):
            await session.ended.wait()
        # A program that was left in the background may hold the streams open for ever.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.closed.wait(), _DRAIN)
    except TimeoutError:
        timed_out = True
        with contextlib.suppress(OSError):
            channel.kill()
    except (OSError, asyncssh.Error) as error:
        raise GuestError(f"The connection to the desktop broke: {error}.") from error
    finally:
        channel.close()
    if session.exit_code is None and not timed_out:
        raise GuestError("The connection to the desktop broke before the command had ended.")
    return Completed(
        exit_code=None if timed_out else session.exit_code,
        stdout=session.stdout.decode(errors="replace"),
        stderr=session.stderr.decode(errors="replace"),
        timed_out=timed_out,
        truncated=session.truncated,
    )


class _Bounded(asyncssh.SSHClientSession[bytes]):
    """Takes everything a command writes and keeps the first `limit` bytes of each stream."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.truncated = False
        self.exit_code: int | None = None
        self.ended = asyncio.Event()
        self.closed = asyncio.Event()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        stream = self.stderr if datatype == EXTENDED_DATA_STDERR else self.stdout
        room = self.limit - len(stream)
        stream += data[:room]
        self.truncated = self.truncated or len(data) > room

    def exit_status_received(self, status: int) -> None:
        self.exit_code = status
        self.ended.set()

    def exit_signal_received(
        self, signal_name: str, core_dumped: bool, msg: str, lang: str
    ) -> None:
        number = getattr(signal, f"SIG{signal_name}", 0)
        self.exit_code = 128 + int(number)
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self.closed.set()
