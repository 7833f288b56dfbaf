"""Whether a terminal is at work, by a real tmux behind a real sshd."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from lebureau_app.guest import ssh, terminals
from lebureau_app.settings import Settings
from tests.support.eventually import eventually
from tests.support.sshd import serving

pytestmark = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/bin") is None or shutil.which("tmux") is None,
    reason="needs openssh-server and tmux",
)

Tmux = Callable[..., None]


@pytest.fixture
def tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tmux]:
    """A tmux of the test's own, where `terminals` looks as well."""
    place = f"export TMUX_TMPDIR={tmp_path}\n"
    monkeypatch.setattr(terminals, "_WHAT_RUNS", place + terminals._WHAT_RUNS)

    def run(*arguments: str) -> None:
        environment = {"TMUX_TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "xterm"}
        subprocess.run(["tmux", "-f", "/dev/null", *arguments], env=environment, check=False)

    yield run
    run("kill-server")


@pytest.fixture
async def connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    settings = Settings(home=tmp_path)
    async with serving(tmp_path, ssh.authorized_key(settings)) as sshd:
        monkeypatch.setattr(ssh, "USER", sshd.user)
        key = ssh.client_key(settings)
        async with await ssh.connect("127.0.0.1", sshd.port, sshd.host_key, key=key) as connected:
            yield connected


async def test_no_terminal_is_not_at_work(
    connection: asyncssh.SSHClientConnection, tmux: Tmux
) -> None:
    assert not await terminals.at_work(connection)


async def test_a_shell_that_waits_is_not_at_work(
    connection: asyncssh.SSHClientConnection, tmux: Tmux
) -> None:
    tmux("new-session", "-d", "bash --norc")

    async def waits() -> bool:
        return not await terminals.at_work(connection)

    assert await eventually(waits)


@pytest.mark.parametrize(
    "command",
    ["bash --norc -c 'sleep 60; true'", "bash --norc -c 'sleep 60 & wait'", "exec sleep 60"],
    ids=["in front", "in the background", "in place of the shell"],
)
async def test_a_command_is_at_work(
    connection: asyncssh.SSHClientConnection, tmux: Tmux, command: str
) -> None:
    tmux("new-session", "-d", command)

    async def works() -> bool:
        return await terminals.at_work(connection)

    assert await eventually(works)
