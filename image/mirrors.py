"""Debian mirrors for the build, taken from where the host itself gets its packages.

Formats: sources.list(5), both the one-line style and deb822.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from image.errors import BuildError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_SUITES = frozenset(
    ("bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable", "oldstable")
)


@dataclass(frozen=True)
class Source:
    """One archive and one of its suites, as the host's apt knows them."""

    uri: str
    suite: str


@dataclass(frozen=True)
class Mirrors:
    """Where the build gets Debian from.

    Args:
        main: Root of the archive, without a slash at the end.
        security: Root of the security archive, without a slash at the end.
    """

    main: str
    security: str

    def lines(self, suite: str) -> list[str]:
        """Return the one-line sources of a suite, its updates and its security fixes."""
        signed = f"deb [signed-by={KEYRING}]"
        return [
            f"{signed} {self.main} {suite} main",
            f"{signed} {self.main} {suite}-updates main",
            f"{signed} {self.security} {suite}-security main",
        ]


def find_mirrors(
    main: str | None = None, security: str | None = None, apt: Path = Path("/etc/apt")
) -> Mirrors:
    """Choose the mirrors for a build.

    Order: the arguments, ``LEBUREAU_DEBIAN_MIRROR`` and
    ``LEBUREAU_DEBIAN_SECURITY_MIRROR``, then the apt sources of a Debian host.

    Args:
        main: Root of the archive, or None to find it.
        security: Root of the security archive, or None to find it.
        apt: The host's apt directory.

    Returns:
        Both roots.

    Raises:
        BuildError: No mirror is known.
    """
    main = main or os.environ.get("LEBUREAU_DEBIAN_MIRROR")
    security = security or os.environ.get("LEBUREAU_DEBIAN_SECURITY_MIRROR")
    sources = list(read_sources(apt))
    main = main or _first(sources, is_security=False)
    if not main:
        raise BuildError(
            "No Debian mirror is known: this machine's apt sources name none.",
            "Set LEBUREAU_DEBIAN_MIRROR to the address of a Debian mirror and build again.",
        )
    security = security or _first(sources, is_security=True) or _security_beside(main)
    return Mirrors(main.rstrip("/"), security.rstrip("/"))


def read_sources(apt: Path) -> Iterator[Source]:
    """Read every enabled binary source of an apt directory, in apt's order."""
    directory = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(directory.glob("*.list"))]:
        if path.is_file():
            yield from _one_line_sources(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted(directory.glob("*.sources")):
        yield from _deb822_sources(path.read_text(encoding="utf-8", errors="replace"))


def _one_line_sources(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        rest = rest.strip()
        if rest.startswith("["):
            rest = rest.partition("]")[2]
        uri, _, suites = rest.strip().partition(" ")
        if suites.strip():
            yield Source(uri, suites.split()[0])


def _deb822_sources(text: str) -> Iterator[Source]:
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").strip().lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite)


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        else:
            key, _, value = line.partition(":")
            name = key.strip().lower()
            fields[name] = value.strip()


def _first(sources: list[Source], *, is_security: bool) -> str | None:
    for source in sources:
        release, _, pocket = source.suite.partition("/")[0].partition("-")
        fetched = urlsplit(source.uri).scheme in ("http", "https")
        if fetched and release in DEBIAN_SUITES and _carries(pocket, is_security):
            return source.uri
    return None


def _carries(pocket: str, is_security: bool) -> bool:
    return pocket == "security" if is_security else pocket in ("", "updates", "backports")


def _security_beside(main: str) -> str:
    parts = urlsplit(main.rstrip("/"))
    parent = parts.path.rpartition("/")[0]
    return urlunsplit(parts._replace(path=f"{parent}/debian-security"))
