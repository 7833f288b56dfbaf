"""Files that outlive a loss of power, and what they take."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def occupied(file: Path) -> int:
    """Bytes that a file occupies, its holes left out; none if it is not there."""
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def extents(handle: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where a file is no hole (lseek(2), SEEK_DATA and SEEK_HOLE): begins and ends, in bytes.

    Args:
        handle: The file, open.
        begin: Where to look from.
        end: Where to look to.
    """
    place = begin
    while place < end:
        try:
            data = os.lseek(handle, place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        place = min(os.lseek(handle, data, os.SEEK_HOLE), end)
        if data < end:
            yield data, place


def persist(*paths: Path) -> None:
    """Let files, and what folders hold, outlive a loss of power (fsync(2), NOTES)."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def host_boot() -> str:
    """What changes when the host is restarted (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_record(path: Path) -> dict[str, Any]:
    """Read what `write_record` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    record = json.loads(path.read_text())
    if not isinstance(record, dict):
        raise ValueError(f"{path.name} holds no record")
    return record


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a small file, closed to others, that is always whole.

    Args:
        path: Where; whatever is there is replaced at once.
        record: What can be told in JSON.
    """
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    persist(path.parent)
