"""The README's shell lines, run as they are written but for the address and the account."""

import os
import re
import shlex
import subprocess
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def lines_under(first_comment: str) -> str:
    """The shell block of the README whose first comment begins like this."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    found = [block for block in blocks if f"# {first_comment}" in block]
    assert len(found) == 1, f"README.md has {len(found)} blocks with '# {first_comment}'"
    return found[0]


def with_values(block: str, **values: str) -> str:
    """The block with `NAME=…` lines saying something else."""
    for name, value in values.items():
        block, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={shlex.quote(value)}", block)
        assert count == 1, f"README.md assigns {name} {count} times"
    return block


def run(block: str, folder: Path, seconds: float = 60) -> str:
    """Run shell lines as a person's shell would, but stop at the first that fails.

    Args:
        block: The lines.
        folder: Where files go.
        seconds: How long they may take.

    Returns:
        What they printed.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "*"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_on_desktop(folder: Path, url: str, key: str, desktop_id: str, seconds: float = 400) -> str:
    """Run the lines that need a real desktop, on one that is ready.

    Args:
        folder: Where the picture of its screen goes, as `screen.png`.
        url: Address of the server.
        key: An API key.
        desktop_id: The desktop.
        seconds: How long they may take.

    Returns:
        What they printed.
    """
    known = f"LB={url} KEY={key} ID={desktop_id}\n"
    helper = 'lb() { curl -fsS -H "Authorization: Bearer $KEY" "$@"; }\n'
    return run(known + helper + lines_under("Its shell, its screen, its agent"), folder, seconds)
