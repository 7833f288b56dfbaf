"""The manifest beside an image: what it is, and how to start it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from image.kernel import COMMAND_LINE, kernel_version
from image.recipe import Profile
from image.tree import Tree

FILES = ("disk.qcow2", "kernel", "initrd")


def describe(tree: Tree, profile: Profile, name: str) -> dict[str, Any]:
    """Return what an image is, as it also knows itself.

    Args:
        tree: The image's tree, with everything installed.
        profile: The profile it was built from.
        name: The image's id.
    """
    return {
        "id": name,
        "profile": profile.name,
        "suite": profile.suite,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {
            "debian": tree.path("/etc/debian_version").read_text().strip(),
            "kernel": kernel_version(tree),
            "openclaw": profile.openclaw,
            "node": tree.run("node", "--version").strip().lstrip("v"),
            "npm": tree.run("npm", "--version").strip(),
            "python": tree.run(
                "python3", "-c", "import platform as p; print(p.python_version())"
            ).strip(),
            "ttyd": profile.ttyd.version,
            **{
                name: _package_version(tree, package)
                for name, package in (
                    ("chromium", "chromium"),
                    ("xfce", "xfce4-panel"),
                    ("tigervnc", "tigervnc-standalone-server"),
                    ("openssh", "openssh-server"),
                )
            },
        },
    }


def write_manifest(directory: Path, about: dict[str, Any], virtual_size: int) -> None:
    """Write ``manifest.json`` next to the image's files.

    Args:
        directory: Where the files are.
        about: What ``describe`` returned.
        virtual_size: Size of the disk that a desktop sees, in bytes.
    """
    manifest = {
        **about,
        "cmdline": COMMAND_LINE,
        "virtualSize": virtual_size,
        "size": sum((directory / name).stat().st_size for name in FILES),
        "sha256": {name: _sha256(directory / name) for name in FILES},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _package_version(tree: Tree, package: str) -> str:
    return tree.run("dpkg-query", "-Wf", "${Version}", package).strip()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
