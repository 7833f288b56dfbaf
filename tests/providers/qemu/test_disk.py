import subprocess
from pathlib import Path

from lebureau_app.providers.qemu.chain import layers
from lebureau_app.providers.qemu.disk import make_overlay, name_backing

SIZE = 1 << 20


async def test_a_disk_that_moves_to_another_depth_still_finds_what_it_stands_on(tmp_path: Path):
    """As when the folders of images and goldens are links to somewhere else."""
    images, home, goldens = tmp_path / "images", tmp_path / "home/desktops/one", tmp_path / "kept"
    for folder in (images, home, goldens):
        folder.mkdir(parents=True)
    image, disk = images / "disk.qcow2", home / "disk.qcow2"
    made = ["qemu-img", "create", "-q", "-f", "qcow2", str(image), str(SIZE)]
    subprocess.run(made, check=True)
    await make_overlay(disk, image, SIZE)
    await name_backing(disk, image, goldens)
    moved = disk.rename(goldens / "disk.qcow2")
    assert layers(moved) == [moved, image]
