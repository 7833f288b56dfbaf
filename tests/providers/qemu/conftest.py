"""A qemu provider with one image, the module's `GUEST`, and hands to reach its machine."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lebureau_app.providers.qemu import machine, processes
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.support.eventually import eventually
from tests.support.tiny_guest import make_image

DESKTOP = "dsk_01J00000000000000000000000"


async def says(provider: QemuProvider, desktop_id: str, ref: str, word: str) -> None:
    """Wait until the guest has said that on its console."""

    async def said() -> bool:
        return word in await provider.log_tail(desktop_id, ref, 1000)

    await eventually(said, seconds=60)


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home with the image `filling`; its name is short, since those of Unix sockets are."""
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        make_image(Path(folder) / "images", "filling", request.module.GUEST)
        yield Path(folder)


@pytest.fixture
async def provider(home: Path) -> AsyncIterator[QemuProvider]:
    settings = Settings(home=home)
    made = QemuProvider(settings)
    await made.open()
    yield made
    await made.close()
    for folder in machine.machine_folders(settings):
        await asyncio.to_thread(processes.kill, folder.identity().uuid)
    for place in (settings.desktops_dir, settings.run_dir, settings.snapshots_dir):
        shutil.rmtree(place)


@pytest.fixture
def folder(home: Path) -> MachineFolder:
    return MachineFolder(Settings(home=home), DESKTOP)


def running(home: Path) -> list[int]:
    """Every process of QEMU that works in this home."""

    def works_here(pid: int) -> bool:
        try:
            return str(home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    return [pid for pid in processes.by_uuid().values() if works_here(pid)]
