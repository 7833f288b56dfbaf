import subprocess
from pathlib import Path

from tests.support.node import NODE

TESTS = Path(__file__).parent / "policy.test.mjs"


def test_policy() -> None:
    done = subprocess.run([NODE, "--test", str(TESTS)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
