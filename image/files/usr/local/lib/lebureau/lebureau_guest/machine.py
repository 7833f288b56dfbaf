"""The machine that the guest tools work on: its files, users and commands."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

USER = "agent"
USER_ID = 1000

Run = Callable[[Sequence[str]], str]
Kill = Callable[[int, int], None]


class GuestError(Exception):
    """Something the control plane asked for could not be done; the message says what."""


def run_command(command: Sequence[str]) -> str:
    """Run a command and return its standard output.

    Raises:
        GuestError: It failed.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise GuestError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


@contextmanager
def _suppress_gone() -> Iterator[None]:
    """A control group whose last process ends while its file is open is no device."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


class Machine:
    """Files and commands below one root.

    Args:
        root: The root directory; another one than ``/`` in tests.
        run: How commands are run.
        kill: How signals are sent.
    """

    def __init__(
        self, root: Path = Path("/"), run: Run = run_command, kill: Kill = os.kill
    ) -> None:
        self._root = root
        self.run = run
        self.kill = kill

    def path(self, name: str) -> Path:
        """Return where a path of the machine is."""
        return self._root / name.lstrip("/")

    def read(self, name: str) -> str:
        """Return a file's text, or nothing when there is no such file, or process any more."""
        with suppress(FileNotFoundError, ProcessLookupError), _suppress_gone():
            return self.path(name).read_text(encoding="utf-8")
        return ""

    def write(self, name: str, content: str, *, mode: int = 0o644, private: bool = False) -> bool:
        """Replace a file in one step.

        Args:
            name: Path on the machine.
            content: The text.
            mode: Permissions.
            private: True makes the desktop's user the owner instead of root.

        Returns:
            Whether anything changed.
        """
        path = self.path(name)
        if path.is_file() and not path.is_symlink() and self.read(name) == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
                if private and os.geteuid() == 0:
                    os.fchown(file.fileno(), USER_ID, USER_ID)
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
        return True

    def processes(self, unit: str) -> list[int]:
        """Return the processes of a service, without asking systemd (cgroups(7))."""
        group = self.read(f"/sys/fs/cgroup/system.slice/{unit}/cgroup.procs")
        return [int(process) for process in group.split()]

    def is_active(self, unit: str) -> bool:
        """Tell whether a service has processes."""
        return bool(self.processes(unit))

    def hold(self, unit: str) -> None:
        """Stop every process of a service where it is, until `release` (cgroups(7))."""
        self._freeze(unit, "1")

    def release(self, unit: str) -> None:
        """Let a service go on; nothing happens where it does."""
        self._freeze(unit, "0")

    def _freeze(self, unit: str, state: str) -> None:
        with suppress(FileNotFoundError), _suppress_gone():
            freezer = self.path(f"/sys/fs/cgroup/system.slice/{unit}/cgroup.freeze")
            # "w" would make the file where there is no such service, as in tests.
            with open(freezer, "r+", encoding="ascii") as file:
                file.write(state)

    def signal(self, process: int, number: signal.Signals) -> None:
        """Send a signal to a process, if there is one."""
        with suppress(ProcessLookupError):
            self.kill(process, number)

    def remove(self, name: str) -> bool:
        """Remove a file; tell whether it was there."""
        try:
            self.path(name).unlink()
        except FileNotFoundError:
            return False
        return True
