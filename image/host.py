"""What the machine that builds must have, and what it lends to the build."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from image.errors import BuildError
from image.recipe import HERE

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")


def missing_packages() -> list[str]:
    """Name the Debian packages that the build needs and this machine lacks."""
    missing = {package for need, package in _needs() if not _has(need)}
    return sorted(missing)


def require_packages() -> None:
    """Raise a BuildError that names what is missing, if anything is."""
    if missing := missing_packages():
        raise BuildError(
            f"This machine lacks what the build needs: {', '.join(missing)}.",
            f"As root: apt-get install {' '.join(missing)}",
        )


def build_environment() -> dict[str, str]:
    """Return the environment for commands that fetch: the host's proxies and registries.

    Registries are the ones that the host's own npm and pip are set to; unset, each tool
    inside the image uses its own default.
    """
    lent = {
        name: value
        for name in PROXY_VARIABLES
        if (value := os.environ.get(name) or os.environ.get(name.upper()))
    }
    index = os.environ.get("PIP_INDEX_URL") or _setting("pip3", "config", "get", "global.index-url")
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or _setting("npm", "config", "get", "registry")
    if index:
        lent["PIP_INDEX_URL"] = index
    if registry:
        lent["npm_config_registry"] = registry
    return lent


def _needs() -> list[tuple[str, str]]:
    lines = (HERE / "host-packages.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines if line.strip() and not line.startswith("#"))
    return [(need, package) for need, package in rows]


def _has(need: str) -> bool:
    if need.startswith("/"):
        return Path(need).exists()
    return shutil.which(need, path=TOOL_PATH) is not None


def _setting(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
