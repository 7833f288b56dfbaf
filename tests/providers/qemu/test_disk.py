from pathlib import Path

from lebureau_app.providers.qemu.chain import layers
from lebureau_app.providers.qemu.disk import make_overlay, name_backing
from tests.support.tiny_guest import IMAGE, make_image

SIZE = 4 << 20


async def test_a_disk_that_moves_to_another_depth_still_finds_what_it_stands_on(tmp_path: Path):
    """As when the folders of images and goldens are links to somewhere else."""
    make_image(tmp_path / "images")
    home, goldens = tmp_path / "home/desktops/one", tmp_path / "kept"
    home.mkdir(parents=True)
    goldens.mkdir()
    image, disk = tmp_path / "images" / IMAGE / "disk.qcow2", home / "disk.qcow2"
    await make_overlay(disk, image, SIZE)
    await name_backing(disk, image, goldens)
    moved = disk.rename(goldens / "disk.qcow2")
    assert layers(moved) == [moved, image]
