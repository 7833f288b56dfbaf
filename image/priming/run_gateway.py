"""Inside the image: bring the OpenClaw gateway up once and take it down again.

Usage: ``python3 - COMPILE_CACHE``, as the desktop's user, in a network with only a loopback.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

READY_URL = "http://127.0.0.1:18789/readyz"
READY_TIMEOUT_S = 240
STOP_TIMEOUT_S = 90
KEYS = Path("/run/lebureau/keys.json")
STATE = Path.home() / ".openclaw"
BASE_CONFIG = Path("/etc/lebureau/openclaw.base.json")


def is_ready() -> bool:
    """Ask the gateway whether it is ready."""
    try:
        with urllib.request.urlopen(READY_URL, timeout=5) as answer:
            return bool(json.load(answer).get("ready"))
    except (OSError, ValueError):
        return False


def wait_until_ready(gateway: "subprocess.Popen[bytes]") -> None:
    """Wait for the gateway, or exit with what happened."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready():
        if gateway.poll() is not None:
            sys.exit(f"The gateway ended with {gateway.returncode} before it was ready.")
        if time.monotonic() > deadline:
            gateway.kill()
            sys.exit(f"The gateway was not ready after {READY_TIMEOUT_S} s.")
        time.sleep(0.5)


def main(compile_cache: str) -> None:
    """Start, wait, stop, and leave only what every desktop may share."""
    KEYS.write_text(json.dumps({"gateway": {"token": "priming"}, "providers": {}}))
    KEYS.chmod(0o600)
    config = STATE / "openclaw.json"
    shutil.copy(BASE_CONFIG, config)
    config.chmod(0o600)
    environment = {
        **os.environ,
        "NODE_COMPILE_CACHE": compile_cache,
        "OPENCLAW_NO_RESPAWN": "1",
        "OPENCLAW_SERVICE_REPAIR_POLICY": "external",
    }
    gateway = subprocess.Popen(["openclaw", "gateway", "run"], env=environment)
    wait_until_ready(gateway)
    gateway.send_signal(signal.SIGTERM)
    gateway.wait(STOP_TIMEOUT_S)
    KEYS.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
