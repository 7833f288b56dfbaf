"""What disks say of themselves: real files, no machines."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.qemu.chain import disks, foundations, layers, read_header
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.snapshots import SnapshotFolder
from lebureau_app.providers.qemu.tidying import better_ground, remove_unused
from lebureau_app.settings import Settings

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")

MIB = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path)
    made.make_folders()
    return made


def disk(settings: Settings, name: str, on: Path | None = None) -> Path:
    """A disk of 8 MiB in the folder of that name, perhaps on another one."""
    path = settings.home / name / "disk.qcow2"
    path.parent.mkdir(parents=True)
    below = ["-F", "qcow2", "-b", f"../../{on.relative_to(settings.home)}"] if on else []
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *below, path, str(8 * MIB)]
    subprocess.run(command, check=True, timeout=60, cwd=path.parent)
    return path


def dropped(settings: Settings, path: Path) -> Path:
    SnapshotFolder(settings, path.parent.name).drop()
    return path


def test_a_disk_tells_its_size_and_what_it_stands_on(settings: Settings):
    image = disk(settings, "images/i")
    overlay = disk(settings, "desktops/d", on=image)
    assert (read_header(image).size, read_header(image).below) == (8 * MIB, None)
    assert read_header(overlay).below == image
    assert layers(overlay) == [overlay, image]


def test_what_is_no_disk_is_an_error_for_people(settings: Settings):
    path = settings.desktops_dir / "d" / "disk.qcow2"
    path.parent.mkdir()
    path.write_bytes(b"no disk")
    with pytest.raises(ProviderError, match="cannot be read"):
        read_header(path)
    with pytest.raises(ProviderError):
        foundations(settings)


def test_every_disk_that_carries_another_is_known_whoever_has_it(settings: Settings):
    image = disk(settings, "images/i")
    golden = disk(settings, "goldens/g", on=image)
    snapshot = disk(settings, "snapshots/s", on=golden)
    draft = disk(settings, "desktops/.d.new", on=snapshot)
    assert foundations(settings) == {image, golden, snapshot}
    assert set(disks(settings)) == {golden, snapshot, draft}


def test_a_short_chain_of_kept_snapshots_is_left_as_it_is(settings: Settings):
    below = disk(settings, "images/i")
    for number in range(3):
        below = disk(settings, f"snapshots/s{number}", on=below)
    disk(settings, "desktops/d", on=below)
    assert better_ground(settings, MachineFolder(settings, "d")) is None


def test_a_long_chain_goes_down_to_its_golden_machine(settings: Settings):
    golden = below = disk(settings, "goldens/g", on=disk(settings, "images/i"))
    for number in range(4):
        below = disk(settings, f"snapshots/s{number}", on=below)
    disk(settings, "desktops/d", on=below)
    assert better_ground(settings, MachineFolder(settings, "d")) == golden


def test_a_dropped_snapshot_is_taken_in_unless_another_disk_stands_on_it(settings: Settings):
    kept = disk(settings, "snapshots/kept", on=disk(settings, "images/i"))
    left = dropped(settings, disk(settings, "snapshots/left", on=kept))
    disk(settings, "desktops/d", on=left)
    assert better_ground(settings, MachineFolder(settings, "d")) == kept
    disk(settings, "desktops/twin", on=left)
    assert better_ground(settings, MachineFolder(settings, "d")) is None


def test_a_machine_right_on_its_image_needs_no_other_ground(settings: Settings):
    disk(settings, "desktops/d", on=disk(settings, "images/i"))
    assert better_ground(settings, MachineFolder(settings, "d")) is None


def test_dropped_snapshots_are_removed_from_the_top_down(settings: Settings):
    lower = dropped(settings, disk(settings, "snapshots/lower", on=disk(settings, "images/i")))
    upper = dropped(settings, disk(settings, "snapshots/upper", on=lower))
    machine = disk(settings, "desktops/d", on=upper)
    assert not remove_unused(settings)
    machine.unlink()
    assert remove_unused(settings)
    assert lower.exists()
    assert not upper.exists()
    assert remove_unused(settings)
    assert not lower.exists()
    assert not remove_unused(settings)


def test_nothing_is_removed_where_a_disk_cannot_be_read(settings: Settings):
    left = dropped(settings, disk(settings, "snapshots/left", on=disk(settings, "images/i")))
    disk(settings, "desktops/d", on=left).write_bytes(b"damaged")
    with pytest.raises(ProviderError):
        remove_unused(settings)
    assert left.exists()


@pytest.mark.parametrize("snapshot_id", ["../images", "", ".hidden", "a/b"])
def test_an_id_never_becomes_another_path(settings: Settings, snapshot_id: str):
    with pytest.raises(ProviderError, match="no snapshot"):
        SnapshotFolder(settings, snapshot_id)
