"""SSH against the real sshd of this machine."""

import asyncio
import shutil
import socket
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from lebureau_app.errors import GuestError
from lebureau_app.guest import ssh
from lebureau_app.settings import Settings
from tests.support.sshd import Sshd, serving

pytestmark = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="needs openssh-server"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
async def sshd(settings: Settings, tmp_path: Path) -> AsyncIterator[Sshd]:
    async with serving(tmp_path, ssh.authorized_key(settings)) as server:
        yield server


@pytest.fixture
async def connection(
    sshd: Sshd, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    monkeypatch.setattr(ssh, "USER", sshd.user)
    async with await ssh.connect(
        "127.0.0.1", sshd.port, sshd.host_key, key=ssh.client_key(settings)
    ) as connection:
        yield connection


def test_our_key_is_made_once_and_private(settings: Settings):
    first = ssh.authorized_key(settings)
    assert first.startswith("ssh-ed25519 ")
    assert ssh.authorized_key(settings) == first
    assert stat.S_IMODE((settings.home / "ssh_key").stat().st_mode) == 0o600
    assert [file.name for file in settings.home.iterdir()] == ["ssh_key"]


async def test_a_command_runs_in_a_login_shell(connection: asyncssh.SSHClientConnection):
    done = await ssh.run(connection, "shopt -q login_shell && echo 'it is'; echo no >&2; exit 3")
    assert done == ssh.Completed(3, "it is\n", "no\n")


async def test_stdin_arrives_whole(connection: asyncssh.SSHClientConnection):
    done = await ssh.run(connection, "wc -c", stdin=b"x" * 700_000)
    assert done.stdout.strip() == "700000"


async def test_without_stdin_a_reader_does_not_hang(connection: asyncssh.SSHClientConnection):
    assert (await ssh.run(connection, "cat; echo end")).stdout == "end\n"


async def test_both_streams_are_bounded_without_a_deadlock(
    connection: asyncssh.SSHClientConnection,
):
    flood = "head -c 3000000 /dev/zero | tr '\\0' o; head -c 3000000 /dev/zero | tr '\\0' e >&2"
    done = await ssh.run(connection, flood, limit=1000)
    assert (done.exit_code, done.truncated) == (0, True)
    assert (done.stdout, done.stderr) == ("o" * 1000, "e" * 1000)


async def test_time_out_kills_the_whole_process_group(
    connection: asyncssh.SSHClientConnection, tmp_path: Path
):
    lock = tmp_path / "lock"
    done = await ssh.run(
        connection, f"echo begun; flock {lock} sleep 300 & flock {lock} sleep 300; wait", timeout=5
    )
    assert (done.exit_code, done.timed_out, done.stdout) == (None, True, "begun\n")
    # The lock is free only when every child that held it is gone.
    free = await ssh.run(connection, f"flock --timeout 10 {lock} echo free", timeout=15)
    assert free.stdout == "free\n"


async def test_a_program_left_in_the_background_does_not_hold_the_answer(
    connection: asyncssh.SSHClientConnection,
):
    done = await ssh.run(connection, "sleep 8 & echo started", timeout=6)
    assert (done.exit_code, done.stdout) == (0, "started\n")


async def test_a_signal_is_told_as_a_shell_tells_it(connection: asyncssh.SSHClientConnection):
    assert (await ssh.run(connection, "kill -TERM $$")).exit_code == 128 + 15


async def test_output_that_is_no_text_is_replaced(connection: asyncssh.SSHClientConnection):
    assert (await ssh.run(connection, r"printf '\377ok'")).stdout == "\ufffdok"


async def test_our_own_command_must_succeed(connection: asyncssh.SSHClientConnection):
    assert await ssh.call(connection, "cat", stdin=b"in") == "in"
    with pytest.raises(GuestError, match=r"failed in the desktop.*No such file"):
        await ssh.call(connection, "cat /does/not/exist")


async def test_a_broken_connection_is_an_error(connection: asyncssh.SSHClientConnection):
    running = asyncio.create_task(ssh.run(connection, "sleep 5"))
    done = await ssh.run(connection, "true")
    connection.abort()
    assert done.exit_code == 0
    with pytest.raises(GuestError, match="broke"):
        await running


async def test_another_host_key_is_refused(sshd: Sshd, settings: Settings):
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(GuestError, match="another SSH host key"):
        await ssh.connect("127.0.0.1", sshd.port, stranger, key=ssh.client_key(settings))


async def test_another_client_key_is_refused(sshd: Sshd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ssh, "USER", sshd.user)
    with pytest.raises(GuestError, match="does not accept our SSH key"):
        await ssh.connect(
            "127.0.0.1",
            sshd.port,
            sshd.host_key,
            key=asyncssh.generate_private_key("ssh-ed25519"),
        )


async def test_nobody_listens(settings: Settings):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(GuestError, match="does not answer on SSH"):
        await ssh.connect("127.0.0.1", port, key, key=ssh.client_key(settings))


async def test_a_listener_that_says_nothing_is_given_up(settings: Settings):
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(GuestError):
        await ssh.connect(
            "127.0.0.1", mute.getsockname()[1], key, key=ssh.client_key(settings), timeout=0.3
        )


def test_the_private_key_is_what_ssh_keygen_reads(settings: Settings):
    public = ssh.authorized_key(settings).split()[1]
    read = subprocess.run(
        ["ssh-keygen", "-y", "-f", settings.home / "ssh_key"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split()[1] == public
