"""The root file system of an image while it is a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from image.errors import BuildError
from image.host import TOOL_PATH

# Runs "$@" in the tree with /dev and /proc; the mounts end with the command.
_IN_TREE = """
mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"
"""


class Tree:
    """A root file system in a directory, and the means to work in it.

    Args:
        root: The directory.
        log: Where the output of commands goes.
    """

    def __init__(self, root: Path, log: BinaryIO) -> None:
        self.root = root
        self._log = log

    def path(self, inside: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / inside.lstrip("/")

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        network: bool = True,
        stdin: bytes = b"",
    ) -> str:
        """Run a command inside the image.

        Args:
            command: Program and arguments.
            env: Variables on top of a minimal environment.
            network: False gives it a network of its own, without any way out.
            stdin: What it reads.

        Returns:
            Its standard output.

        Raises:
            BuildError: It failed.
        """
        flags = ["--mount"] if network else ["--mount", "--net"]
        environment = {
            "HOME": "/root",
            "PATH": TOOL_PATH,
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **(env or {}),
        }
        done = subprocess.run(
            [
                "unshare",
                *flags,
                "--propagation",
                "private",
                "sh",
                "-c",
                _IN_TREE,
                str(self.root),
                *command,
            ],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            check=False,
        )
        self._log.write(done.stdout)
        if done.returncode != 0:
            raise BuildError(
                f"A command failed inside the image ({done.returncode}): {' '.join(command)[:300]}",
                "The build's log has its output.",
            )
        return done.stdout.decode(errors="replace")

    def shell(
        self, script: str, *, env: Mapping[str, str] | None = None, network: bool = True
    ) -> str:
        """Run a shell script inside the image; its first failure ends it."""
        return self.run("sh", "-ec", script, env=env, network=network)

    def write(self, inside: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file, with the directories above it; never through a link."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def link(self, inside: str, target: str) -> None:
        """Make a symbolic link, in place of whatever has its name."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def remove(self, *inside: str) -> None:
        """Remove files and directories; a pattern may match none."""
        for pattern in inside:
            for path in self.root.glob(pattern.lstrip("/")):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def copy_in(self, source: Path, mode_of: Mapping[str, int]) -> None:
        """Copy a directory over the image: owner root, modes by the longest matching prefix.

        Args:
            source: The directory; its paths are the image's.
            mode_of: Modes of files by the beginning of their path in the image.
        """
        for path in sorted(source.rglob("*")):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            inside = f"/{path.relative_to(source).as_posix()}"
            prefixes = [prefix for prefix in mode_of if inside.startswith(prefix)]
            self.write(inside, path.read_bytes(), mode_of[max(prefixes, key=len)])

    def size_mib(self) -> int:
        """Return the space that the files take, in MiB."""
        blocks = sum(
            os.lstat(os.path.join(directory, name)).st_blocks
            for directory, subdirectories, names in os.walk(self.root)
            for name in (*subdirectories, *names)
        )
        return blocks * 512 >> 20
