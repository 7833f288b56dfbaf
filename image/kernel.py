"""Kernel and initrd for direct boot: no firmware, no decompression, one driver.

Formats: the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst) and the cpio format
"newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import lzma
import struct
import subprocess
from pathlib import Path

from image.errors import BuildError
from image.recipe import HERE
from image.tree import Tree

ELF_MAGIC = b"\x7fELF"
SECTOR = 512
COMMAND_LINE = (
    "root=/dev/vda3 rw console=ttyS0 quiet loglevel=4 panic=5 mitigations=off tsc=reliable "
    "no_timer_check fsck.mode=skip systemd.show_status=0"
)


def kernel_version(tree: Tree) -> str:
    """Return the version of the one kernel in the tree."""
    versions = [path.name for path in tree.path("/lib/modules").iterdir()]
    if len(versions) != 1:
        raise BuildError(f"One kernel was expected in the image, not {len(versions)}.")
    return versions[0]


def extract_kernel(tree: Tree, out: Path) -> None:
    """Write the uncompressed ELF kernel, whose PVH entry QEMU starts at once.

    Args:
        tree: The image's tree.
        out: The file to write.

    Raises:
        BuildError: The kernel is not compressed with zstd.
    """
    image = tree.path(f"/boot/vmlinuz-{kernel_version(tree)}").read_bytes()
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * SECTOR + offset
    unpacked = subprocess.run(
        ["zstd", "-dcq"], input=image[start : start + length], capture_output=True, check=False
    ).stdout
    if not unpacked.startswith(ELF_MAGIC):
        raise BuildError("The kernel could not be unpacked: it is not compressed with zstd.")
    out.write_bytes(unpacked)


def write_initrd(tree: Tree, out: Path) -> None:
    """Write an initrd that loads the disk's driver and hands over to the root file system."""
    archive = CpioArchive()
    for directory in ("bin", "dev", "proc", "root"):
        archive.add(directory, b"", 0o040755)
    archive.add("bin/busybox", tree.path("/usr/bin/busybox").read_bytes(), 0o100755)
    archive.add("virtio_blk.ko", _module(tree, "virtio_blk"), 0o100644)
    archive.add("init", (HERE / "initrd" / "init").read_bytes(), 0o100755)
    out.write_bytes(archive.finish())


def _module(tree: Tree, name: str) -> bytes:
    modules = tree.path(f"/lib/modules/{kernel_version(tree)}")
    found = next(modules.rglob(f"{name}.ko*"), None)
    if found is None:
        raise BuildError(f"The kernel has no module {name}.")
    content = found.read_bytes()
    return lzma.decompress(content) if found.suffix == ".xz" else content


class CpioArchive:
    """A cpio archive in the format "newc"."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._entries = 0

    def add(self, name: str, content: bytes, mode: int) -> None:
        """Add a file or directory, owned by root."""
        self._entries += 1
        encoded = name.encode() + b"\0"
        links = 1
        fields = (self._entries, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        self._content += b"070701" + "".join(f"{field:08x}" for field in fields).encode()
        self._append_padded(encoded)
        self._append_padded(content)

    def finish(self) -> bytes:
        """Return the archive with its trailer."""
        self.add("TRAILER!!!", b"", 0)
        return bytes(self._content)

    def _append_padded(self, data: bytes) -> None:
        self._content += data
        self._content += b"\0" * (-len(self._content) % 4)
