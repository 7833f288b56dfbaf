"""The golden image, built beside the tests that can do without it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from image.recipe import PROFILES, image_id

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lebureau" / "images"
PATIENCE = 1800
"""Seconds that a build may take at most once somebody waits for it."""

_MORTAL = ("setpriv", "--pdeathsig", "KILL")


@dataclass(frozen=True)
class ImageBuild:
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
        assert code == 0, f"The golden image was not built:\n{self.said.read()[-6000:]}"


def is_built(images: Path) -> bool:
    """Whether the image of this recipe is in a folder of images."""
    return (images / image_id(PROFILES["standard"])).is_dir()


@contextmanager
def building(
    images: Path, program: tuple[str, ...] = ("-m", "image.build")
) -> Iterator[ImageBuild]:
    """Build the image for the length of the block; the build ends also where its parent is killed.

    Args:
        images: The folder of images that it builds into.
        program: What Python runs, with `--output` and that folder.
    """
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            [*_MORTAL, sys.executable, *program, "--output", str(images)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield ImageBuild(process, said)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
