"""The Debian part of the tree: mmdebstrap(1), without root and without devices."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import BinaryIO

from image.errors import BuildError
from image.mirrors import Mirrors
from image.recipe import Profile
from image.tree import Tree

LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/gtk-doc/*",
    "/usr/share/help/*",
    # Its cache alone takes half a minute, and nobody's screen is so fine.
    "/usr/share/icons/elementary-xfce-hidpi/*",
)
KEPT = ("/usr/share/locale/locale.alias", "/usr/share/doc/*/copyright")
_PLAN = re.compile(rb"(\d+) newly installed")
_SETTLED = re.compile(rb"Setting up |Get:\d+ ")


def install_debian(
    tree: Tree, profile: Profile, mirrors: Mirrors, log: BinaryIO, tell: Callable[[int], None]
) -> None:
    """Fill an empty tree with the profile's Debian packages.

    Args:
        tree: Where to.
        profile: What.
        mirrors: Where from.
        log: Where the installer's output goes.
        tell: Called with the percentage of packages fetched and set up.

    Raises:
        BuildError: mmdebstrap failed.
    """
    process = subprocess.Popen(
        [*_command(tree, profile), *mirrors.lines(profile.suite)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    tail: list[bytes] = []
    planned = settled = 0
    for line in process.stdout:
        log.write(line)
        tail = [*tail[-4:], line]
        if plan := _PLAN.search(line):
            planned += int(plan[1])
        elif _SETTLED.match(line):
            settled += 1
            if planned > len(profile.packages):
                tell(min(100, settled * 100 // (2 * planned)))
    if process.wait() != 0:
        said = b" ".join(line.strip() for line in tail).decode(errors="replace")
        raise BuildError(
            f"Debian {profile.suite} could not be installed: {said[-400:]}",
            f"Check that this machine reaches {mirrors.main}, or name another mirror with "
            "LEBUREAU_DEBIAN_MIRROR.",
        )


def _command(tree: Tree, profile: Profile) -> list[str]:
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    included = [f"--dpkgopt=path-include={pattern}" for pattern in KEPT]
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        "--verbose",
        "--architectures=amd64",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        *excluded,
        *included,
        f"--include={','.join(profile.packages)}",
        profile.suite,
        str(tree.root),
    ]
