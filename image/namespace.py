"""A small world of its own for the build: root inside, whoever outside.

An ordinary user gets a user namespace with the ids of /etc/subuid and /etc/subgid
(user_namespaces(7), newuidmap(1)); root needs none. Both get their own mounts and
processes, so that nothing the build mounts or starts outlives it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from image.errors import BuildError

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1
CRASHED = 70

_libc = ctypes.CDLL(None, use_errno=True)


def run_in_namespace(work: Callable[[], int]) -> int:
    """Run a function as root of a namespace of its own.

    Args:
        work: What to do in there; it runs in a process of its own.

    Returns:
        What the function returned; CRASHED when it raised or its process was killed.

    Raises:
        BuildError: The user has no subordinate ids, or the kernel refuses.
    """
    if os.geteuid() == 0:
        return _fork(lambda: _isolate(CLONE_NEWNS | CLONE_NEWPID, work))
    ids = [_subordinate_ids(Path(f"/etc/sub{kind}id")) for kind in ("u", "g")]
    return _run_mapped(ids[0], ids[1], work)


def _run_mapped(uids: range, gids: range, work: Callable[[], int]) -> int:
    isolated_r, isolated_w = os.pipe()
    mapped_r, mapped_w = os.pipe()

    def child() -> int:
        os.close(mapped_w)
        _unshare(CLONE_NEWUSER)
        os.write(isolated_w, b"1")
        if os.read(mapped_r, 1) != b"1":
            return CRASHED
        os.setgid(0)
        os.setuid(0)
        return _isolate(CLONE_NEWNS | CLONE_NEWPID, work)

    def map_ids(pid: int) -> None:
        os.close(isolated_w)
        if os.read(isolated_r, 1) != b"1":
            raise BuildError(
                "This kernel does not let ordinary users make user namespaces.",
                "Allow them (sysctl kernel.unprivileged_userns_clone=1), or build as root.",
            )
        for tool, own, ids in (("newuidmap", os.getuid(), uids), ("newgidmap", os.getgid(), gids)):
            spans = ("0", str(own), "1", "1", str(ids.start), str(len(ids)))
            subprocess.run([tool, str(pid), *spans], check=True)
        os.write(mapped_w, b"1")

    return _fork(child, map_ids)


def _isolate(flags: int, work: Callable[[], int]) -> int:
    _unshare(flags)
    if _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "cannot make mounts private")
    return _fork(lambda: _with_own_proc(work))


def _with_own_proc(work: Callable[[], int]) -> int:
    if _libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount /proc of the build's own processes")
    return work()


def _fork(work: Callable[[], int], beside: Callable[[int], None] | None = None) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os._exit(_exit_code(work))
    try:
        if beside:
            beside(pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code if code >= 0 else CRASHED
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _exit_code(work: Callable[[], int]) -> int:
    try:
        return work()
    except BaseException:
        traceback.print_exc()
        return CRASHED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")


def _subordinate_ids(table: Path) -> range:
    user = pwd.getpwuid(os.getuid()).pw_name
    lines = table.read_text().splitlines() if table.is_file() else []
    for owner, start, count in (line.split(":") for line in lines if line.count(":") == 2):
        if owner in (user, str(os.getuid())) and int(count) >= 65536:
            return range(int(start), int(start) + 65536)
    raise BuildError(
        f"The user {user} has no subordinate ids in {table}, so the build cannot make the "
        "guest's users.",
        f"As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
    )
