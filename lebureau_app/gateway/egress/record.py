"""The log of a desktop's connections: names, bytes and verdicts, never paths, queries or headers."""

import json
import logging
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

_LARGEST_FILE = 4 * 1024 * 1024
_OLD_FILES = 3


@dataclass(slots=True)
class EgressRecord:
    """One connection, or one request of plain HTTP.

    Attributes:
        time: When it began, in seconds since the epoch.
        desktop: The desktop's id.
        method: `CONNECT` or the method of the request.
        host: As the desktop has written it; empty where it wrote nothing usable.
        port: As the desktop has written it.
        address: Where the connection really went; None where there was none.
        verdict: `allowed`, `denied`, or `failed` where it was allowed and did not work.
        reason: Why.
        bytes_up: Bytes towards the destination.
        bytes_down: Bytes towards the desktop.
        seconds: How long it took.
    """

    time: float
    desktop: str
    method: str
    host: str = ""
    port: int = 0
    address: str | None = None
    verdict: str = "allowed"
    reason: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(
            {
                "time": round(self.time, 3),
                "desktop": self.desktop,
                "method": self.method,
                "host": self.host,
                "port": self.port,
                "address": self.address,
                "verdict": self.verdict,
                "reason": self.reason,
                "bytesUp": self.bytes_up,
                "bytesDown": self.bytes_down,
                "seconds": round(self.seconds, 3),
            }
        )


class EgressLog:
    """Writes records as lines of JSON to a file that never outgrows its bound.

    Args:
        path: The log file; older parts are beside it with a number.
    """

    def __init__(self, path: Path) -> None:
        self._handler = RotatingFileHandler(
            path, maxBytes=_LARGEST_FILE, backupCount=_OLD_FILES, encoding="utf-8", delay=True
        )

    def __call__(self, record: EgressRecord) -> None:
        """Write one record."""
        self._handler.emit(logging.makeLogRecord({"msg": record.line()}))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
