"""The real OpenSSH server of this machine, on loopback, for one test."""

import asyncio
import getpass
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.support.processes import stopped

_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding local
AllowStreamLocalForwarding yes
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """Where it listens, whom it lets in and the host key it shows (OpenSSH form)."""

    port: int
    user: str
    host_key: str


@asynccontextmanager
async def serving(folder: Path, authorized_key: str) -> AsyncIterator[Sshd]:
    """Run sshd as this user until the end of the block."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    host_key.write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    (folder / "authorized_keys").write_text(authorized_key + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder))
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert program
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        program,
        "-D",
        "-e",
        "-f",
        folder / "sshd_config",
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _until_it_listens(port)
        yield Sshd(port, getpass.getuser(), host_key.export_public_key().decode().strip())
    finally:
        await stopped(process, grace=10)


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
