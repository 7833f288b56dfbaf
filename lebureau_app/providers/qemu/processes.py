"""QEMU processes of this host, known by the UUID in their command line and never by a bare PID.

A process is held by a pidfd (pidfd_open(2)) *before* its command line is read, so that what was
proved is also what is waited for or killed.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

MAKING_WAY = 10
"""How nice a machine's process is once it has started."""

_KEPT_MEMORY = re.compile(r" (/.*/memory(?: \(deleted\))?)$")

_children: list[subprocess.Popen[bytes]] = []


def spawn(command: list[str], log: Path, keep: int) -> None:
    """Start a process that outlives this one: a session of its own, output to its log.

    Args:
        command: Program and arguments.
        log: File that standard output and error are added to.
        keep: File descriptor that the process inherits.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(keep,),
            start_new_session=True,
        )
    _children.append(child)


def reap() -> None:
    """Take note of children that have ended, so that no zombie stays."""
    _children[:] = [child for child in _children if child.poll() is None]


def by_uuid() -> dict[str, int]:
    """UUID to PID of every process that was started with `-uuid`."""
    reap()
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return {uuid: pid for pid in pids if (uuid := _uuid_of(pid))}


def kept_memories(pid: int) -> set[Path]:
    """The kept memories that a machine has mapped (proc_pid_maps(5)).

    Args:
        pid: The machine's process.

    Raises:
        OSError: It has ended.
    """
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = (_KEPT_MEMORY.search(line) for line in lines)
    return {Path(match[1]) for match in found if match}


def make_way(pid: int) -> None:
    """Let what starts, and the server with its pages, have the CPU before a machine.

    All its threads become nicer (setpriority(2): its process group is its own), and its session
    where the kernel shares the CPU out among sessions (sched(7), autogroup). Where that is refused,
    it goes on as it is.

    Args:
        pid: The machine's process.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, MAKING_WAY)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(MAKING_WAY))


def is_alive(uuid: str) -> bool:
    """Whether the machine with this UUID has a process."""
    return uuid in by_uuid()


def wait_gone(uuid: str, timeout: float) -> bool:
    """Wait until the machine's process has ended.

    Args:
        uuid: The machine's UUID.
        timeout: Seconds to wait at most.

    Returns:
        Whether it is gone.
    """
    with _held(uuid) as pidfd:
        gone = pidfd is None or _ended(pidfd, timeout)
    reap()
    return gone


def kill(uuid: str, timeout: float = 5.0) -> bool:
    """Kill the machine's process and wait for its end.

    Args:
        uuid: The machine's UUID.
        timeout: Seconds to wait at most.

    Returns:
        Whether it is gone.
    """
    with _held(uuid) as pidfd:
        if pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        gone = pidfd is None or _ended(pidfd, timeout)
    reap()
    return gone


@contextlib.contextmanager
def _held(uuid: str) -> Iterator[int | None]:
    """A pidfd of the process that provably runs this machine, or None."""
    pid = by_uuid().get(uuid)
    pidfd = None
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
    try:
        proved = pidfd is not None and pid is not None and _uuid_of(pid) == uuid
        yield pidfd if proved else None
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _ended(pidfd: int, timeout: float) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def _uuid_of(pid: int) -> str:
    """The value of `-uuid` in a process's command line; empty if it has none or has ended."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return arguments[arguments.index(b"-uuid") + 1].decode("ascii", "replace")
    except (OSError, ValueError, IndexError):
        return ""
