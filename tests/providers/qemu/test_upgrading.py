"""A machine goes over to another image: real QEMU processes, tiny guests, real files.

The server is also killed (`kill -9`) at each step: the disk and the image belong together again.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lebureau_app.errors import NotYet, ProviderError
from lebureau_app.providers.base import Power
from lebureau_app.providers.qemu import qmp
from lebureau_app.providers.qemu.chain import foundations, layers
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP, running
from tests.providers.qemu.dying import SNAPSHOT, born, killed
from tests.support.notebook import Letters, Notebook
from tests.support.tiny_guest import NEWER_IMAGE, NOTEBOOK, make_image

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

IMAGE = "filling"
THEIRS = Letters("-", "d")
EMPTY = Letters("-", "-")
LATER = Letters("-", "e")

CHANGING = [
    "upgrading.make_overlay+",
    "upgrading.write_record+",
    "upgrading.os.link-",
    "upgrading.os.link+",
    "upgrading.forget_names-",
    "machine.MachineFolder.write_identity-",
    "machine.MachineFolder.write_identity+",
    "upgrading.Upgrading.change_over+",
]
TAKING_BACK = [
    "upgrading.write_record+",
    "hypervisor.Hypervisor.pull_the_plug-",
    "hypervisor.Hypervisor.pull_the_plug+",
    "machine.MachineFolder.write_identity+",
    "upgrading.persist-",
    "upgrading.persist+",
    "upgrading.Upgrading.go_back+",
]
FINISHING = [
    "upgrading.Upgrading.finish-",
    "upgrading.persist-",
    "machine.MachineFolder.forget_former_disk-",
    "upgrading.Upgrading.finish+",
]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        for image in (IMAGE, NEWER_IMAGE):
            make_image(Path(folder) / "images", image, NOTEBOOK)
        make_large_image(Path(folder) / "images" / "large")
        yield Path(folder)


def make_large_image(folder: Path) -> None:
    """An image that needs a larger disk than the machine has."""
    folder.mkdir()
    create = ("qemu-img", "create", "-q", "-f", "qcow2", str(folder / "disk.qcow2"), "128M")
    subprocess.run(create, check=True, timeout=60)
    (folder / "manifest.json").write_text(json.dumps({"id": folder.name}))


@pytest.fixture
def guest(folder: MachineFolder) -> Notebook:
    return Notebook(folder)


@pytest.fixture
async def ref(provider: QemuProvider, guest: Notebook) -> str:
    """A machine that is off, and has `d` on its disk."""
    made = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.stop(DESKTOP, made, force=True)
    return made


async def tells(provider: QemuProvider, guest: Notebook, ref: str) -> Letters:
    """What it knows when it has been started."""
    await provider.start(DESKTOP, ref)
    return await guest.read()


async def changed(provider: QemuProvider, guest: Notebook, ref: str) -> None:
    """Let it run on the newer image, and have `e` on its disk there."""
    await provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    await provider.start(DESKTOP, ref)
    await guest.note("n", "e")


def nothing_is_left_over(machine: MachineFolder) -> None:
    parts = {entry.name for entry in machine.path.iterdir()}
    assert not {name for name in parts if name.endswith((".new", ".link", ".copy"))}
    assert not parts & {"upgrading.json", machine.former_disk.name}


def on_image(machine: MachineFolder) -> str:
    """The image of the machine, by its identity and by its disk."""
    image = machine.identity().image
    assert layers(machine.disk)[-1].parent.name == image
    return image


async def test_the_guest_finds_its_former_disk_and_cannot_change_it(
    provider: QemuProvider, folder: MachineFolder, guest: Notebook, ref: str
):
    await changed(provider, guest, ref)
    before = folder.former_disk.read_bytes()
    async with qmp.conversation(folder.monitor, DESKTOP, ref, 10) as monitor:
        await monitor.execute(
            "human-monitor-command", {"command-line": 'qemu-io former "write 0 4096"'}
        )
        drives = {drive["device"] for drive in await qmp.listed(monitor, "query-block")}
    assert drives == {"disk", "former"}
    assert folder.former_disk.read_bytes() == before
    await provider.take_image_back(DESKTOP, ref)
    assert "wrote 4096/4096" in folder.log.read_text()
    assert await tells(provider, guest, ref) == THEIRS


async def test_what_the_former_disk_stands_on_stays(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str
):
    settings = Settings(home=home)
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    await provider.drop_snapshot(SNAPSHOT)
    while await provider.tidy():
        pass
    kept = settings.snapshots_dir / SNAPSHOT / "disk.qcow2"
    assert kept.resolve() in foundations(settings)
    await provider.take_image_back(DESKTOP, ref)
    assert await tells(provider, guest, ref) == THEIRS


async def test_what_only_the_former_disk_stood_on_goes_with_it(
    provider: QemuProvider, home: Path, folder: MachineFolder, ref: str
):
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    with_both = (await provider.storage(DESKTOP, ref)).disk
    await provider.keep_image(DESKTOP, ref)
    assert (await provider.storage(DESKTOP, ref)).disk < with_both
    await provider.drop_snapshot(SNAPSHOT)
    while await provider.tidy():
        pass
    assert list((home / "snapshots").iterdir()) == []
    nothing_is_left_over(folder)


async def test_a_disk_that_a_running_machine_was_given_is_carried_over_whole(
    provider: QemuProvider, folder: MachineFolder, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.stop(DESKTOP, ref, force=True)
    await provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    assert sorted(disk.name for disk in folder.path.glob("*.qcow2")) == [
        "disk.qcow2",
        "former.qcow2",
    ]
    await provider.take_image_back(DESKTOP, ref)
    assert await tells(provider, guest, ref) == THEIRS


@pytest.mark.parametrize("image", ["unknown", "large"])
async def test_an_image_that_is_not_there_or_does_not_fit_changes_nothing(
    provider: QemuProvider, folder: MachineFolder, guest: Notebook, ref: str, image: str
):
    with pytest.raises(ProviderError):
        await provider.change_image(DESKTOP, ref, image)
    nothing_is_left_over(folder)
    assert await tells(provider, guest, ref) == THEIRS


async def test_who_cannot_go_forwards_can_still_go_back(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str
):
    await killed(home, "changed", "upgrading.os.link+")
    image = home / "images" / NEWER_IMAGE
    image.rename(image.with_name("away"))
    try:
        await provider.open()
        with pytest.raises(NotYet, match="upgrade"):
            await provider.start(DESKTOP, ref)
        assert await provider.take_image_back(DESKTOP, ref) == IMAGE
    finally:
        image.with_name("away").rename(image)
    nothing_is_left_over(folder)
    assert await tells(provider, guest, ref) == THEIRS


@pytest.mark.parametrize("step", CHANGING)
async def test_the_server_dies_while_an_image_is_changed(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await killed(home, "changed", step)
    await provider.open()
    begun = step != "upgrading.make_overlay+"
    assert on_image(folder) == (NEWER_IMAGE if begun else IMAGE)
    await provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    assert on_image(folder) == NEWER_IMAGE
    assert await tells(provider, guest, ref) == EMPTY
    assert await provider.take_image_back(DESKTOP, ref) == IMAGE
    nothing_is_left_over(folder)
    assert await tells(provider, guest, ref) == THEIRS


@pytest.mark.parametrize("step", TAKING_BACK)
async def test_the_server_dies_while_an_image_is_taken_back(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await changed(provider, guest, ref)
    await killed(home, "taken_back", step)
    await provider.open()
    machine = await provider.inspect(DESKTOP, ref)
    assert machine
    assert (machine.power, on_image(folder), running(home)) == (Power.STOPPED, IMAGE, [])
    nothing_is_left_over(folder)
    assert await provider.take_image_back(DESKTOP, ref) == IMAGE
    assert await tells(provider, guest, ref) == THEIRS


@pytest.mark.parametrize("step", FINISHING)
async def test_the_server_dies_while_a_former_disk_is_let_go(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook, ref: str, step: str
):
    await changed(provider, guest, ref)
    await provider.stop(DESKTOP, ref, force=True)
    await killed(home, "upgraded", step)
    await provider.open()
    await provider.keep_image(DESKTOP, ref)
    nothing_is_left_over(folder)
    assert on_image(folder) == NEWER_IMAGE
    assert await provider.take_image_back(DESKTOP, ref) == NEWER_IMAGE
    assert await tells(provider, guest, ref) == LATER
