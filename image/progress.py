"""Progress of a build, as JSON lines for whoever started it."""

from __future__ import annotations

import json
from typing import TextIO


class Progress:
    """Writes one JSON object a line.

    Args:
        out: Where the lines go.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: dict[str, object] = {}

    def step(self, step: str, message: str, percent: int | None = None) -> None:
        """Tell what the build does now.

        Args:
            step: Name of the step.
            message: The same in words for people.
            percent: How much of this step is done, 0 to 100; None where nobody knows.
        """
        line: dict[str, object] = {"step": step, "percent": percent, "message": message}
        if line != self._last:
            self._last = line
            self._write(line)

    def done(self, image: str, path: str) -> None:
        """Tell that the image is in place."""
        self._write(
            {"step": "done", "percent": 100, "message": "Image ready", "id": image, "path": path}
        )

    def failed(self, error: str, hint: str) -> None:
        """Tell why there is no image, and what to do."""
        self._write({"error": error, "hint": hint})

    def _write(self, line: dict[str, object]) -> None:
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._out.flush()
