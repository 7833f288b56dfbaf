"""What takes minutes to build, built beside the tests that can do without it."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from image.recipe import PROFILES, image_id
from tests.support.processes import put_first

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lebureau" / "images"
PATIENCE = 1800
"""Seconds that a build may take at most once somebody waits for it."""

_MORTAL = ("setpriv", "--pdeathsig", "KILL")


@dataclass(frozen=True)
class Build:
    """A build that is under way, or over.

    Attributes:
        process: It leads a session of its own.
        said: What it has told and logged.
    """

    process: subprocess.Popen[str]
    said: IO[str]

    def wait(self) -> None:
        """Wait for its end; a build that failed is an assertion with its last words."""
        code = self.process.wait(PATIENCE)
        self.said.seek(0)
        assert code == 0, f"The build failed:\n{self.said.read()[-6000:]}"

    def end(self) -> None:
        """End it, and whatever it has started, if it is still under way."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_built(images: Path) -> bool:
    """Whether the image of this recipe is in a folder of images."""
    return (images / image_id(PROFILES["standard"])).is_dir()


@contextmanager
def building(*command: str | Path) -> Iterator[Build]:
    """Build something for the length of the block; the build ends also where its parent is killed.

    Args:
        command: What builds, run in the project's folder.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            [*_MORTAL, *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        put_first(process.pid)
        build = Build(process, said)
        try:
            yield build
        finally:
            build.end()
