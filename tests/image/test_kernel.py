import io
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from image.errors import BuildError
from image.kernel import CpioArchive, extract_kernel, write_initrd
from image.tree import Tree

SETUP_SECTORS = 4
PAYLOAD_OFFSET = 64


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "root", io.BytesIO())
    driver = lzma.compress(b"driver")
    tree.write("/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.xz", driver)
    tree.write("/usr/bin/busybox", b"busybox")
    return tree


def compressed_kernel(payload: bytes) -> bytes:
    image = bytearray((SETUP_SECTORS + 1) * 512 + PAYLOAD_OFFSET)
    image[0x1F1] = SETUP_SECTORS
    struct.pack_into("<II", image, 0x248, PAYLOAD_OFFSET, len(payload))
    return bytes(image) + payload + b"trailing"


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
def test_the_kernel_is_unpacked_to_its_elf_file(tree: Tree, tmp_path: Path) -> None:
    elf = b"\x7fELF" + b"kernel" * 100
    packed = subprocess.run(["zstd", "-cq"], input=elf, capture_output=True, check=True).stdout
    tree.write("/boot/vmlinuz-6.1", compressed_kernel(packed))
    extract_kernel(tree, tmp_path / "kernel")
    assert (tmp_path / "kernel").read_bytes() == elf


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
def test_another_compression_is_told(tree: Tree, tmp_path: Path) -> None:
    tree.write("/boot/vmlinuz-6.1", compressed_kernel(b"not zstd"))
    with pytest.raises(BuildError, match="zstd"):
        extract_kernel(tree, tmp_path / "kernel")


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_the_initrd_is_an_archive_that_cpio_reads(tree: Tree, tmp_path: Path) -> None:
    write_initrd(tree, tmp_path / "initrd")
    subprocess.run(
        ["cpio", "-i", "--quiet", "--no-absolute-filenames"],
        input=(tmp_path / "initrd").read_bytes(),
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "virtio_blk.ko").read_bytes() == b"driver"
    assert (tmp_path / "bin/busybox").stat().st_mode & 0o111
    assert (tmp_path / "init").read_text().startswith("#!/bin/busybox sh\n")


def test_entries_are_aligned_to_four_bytes() -> None:
    archive = CpioArchive()
    archive.add("a", b"odd", 0o100644)
    content = archive.finish()
    assert len(content) % 4 == 0
    assert content.count(b"070701") == 2
