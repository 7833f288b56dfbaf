"""The priority of a machine's process: a real QEMU."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lebureau_app.providers.base import MachineSpec
from lebureau_app.providers.qemu import processes
from lebureau_app.providers.qemu.provider import QemuProvider
from tests.providers.qemu.conftest import DESKTOP, running
from tests.support.tiny_guest import make_image

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

MIB = 1 << 20


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        make_image(Path(folder) / "images")
        yield Path(folder)


async def test_all_of_a_machine_that_has_started_makes_way(provider: QemuProvider, home: Path):
    spec = MachineSpec(DESKTOP, "atlas", "tiny", 2, 64 * MIB, 64 * MIB, "ssh-ed25519 AAAA")
    ref = await provider.create(spec)
    await provider.start(DESKTOP, ref)
    (pid,) = running(home)
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert set(_niceness(pid)) == {ours}
    await provider.make_way(DESKTOP, ref)
    assert len(_niceness(pid)) >= 3
    assert set(_niceness(pid)) == {max(ours, processes.MAKING_WAY)}
    assert _session(pid) in ("", f"nice {processes.MAKING_WAY}")


def _session(pid: int) -> str:
    """What the kernel says of its session; empty where it does not share out among sessions."""
    try:
        return Path(f"/proc/{pid}/autogroup").read_text().partition(" ")[2].strip()
    except OSError:
        return ""


def _niceness(pid: int) -> list[int]:
    """Of each of its threads, the CPUs' among them."""
    return [
        os.getpriority(os.PRIO_PROCESS, int(thread.name))
        for thread in Path(f"/proc/{pid}/task").iterdir()
    ]
