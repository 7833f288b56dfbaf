"""One disk that boots three ways (direct kernel, BIOS, UEFI), made without mounting anything.

Sources: the GPT is sfdisk's, the file systems are written in place by mke2fs(8) and mtools(1);
the BIOS boot code is patched as grub-bios-setup does (GRUB util/setup.c).
"""

from __future__ import annotations

import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from image.errors import BuildError
from image.tree import Tree

MIB = 1 << 20
SECTOR = 512
LABEL = "lebureau"
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX_ROOT_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
GRUB_MODULES = (
    "part_gpt",
    "ext2",
    "search",
    "search_label",
    "linux",
    "normal",
    "configfile",
    "echo",
    "minicmd",
    "serial",
    "terminal",
)
EARLY_CONFIG = f"""search --no-floppy --label --set=root {LABEL}
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
"""


@dataclass(frozen=True)
class Partition:
    """A span of the disk, in MiB."""

    name: str
    kind: str
    start: int
    size: int

    @property
    def line(self) -> str:
        """The partition as a line of an sfdisk script."""
        sectors = MIB // SECTOR
        return (
            f"start={self.start * sectors}, size={self.size * sectors}, "
            f"type={self.kind}, name={self.name}"
        )


def write_disk(tree: Tree, raw: Path, spare_mib: int) -> None:
    """Write the tree as a bootable raw disk.

    Args:
        tree: The root file system.
        raw: The file to make; it is sparse.
        spare_mib: Free space on the root file system, in MiB.
    """
    bios = Partition("bios", BIOS_BOOT, 1, 1)
    esp = Partition("esp", EFI_SYSTEM, 2, 34)
    used = tree.size_mib()
    root = Partition("root", LINUX_ROOT_X86_64, 36, used + used // 12 + spare_mib)
    with raw.open("wb") as file:
        file.truncate((root.start + root.size + 1) * MIB)
    script = "\n".join(["label: gpt", bios.line, esp.line, root.line, ""])
    _run("sfdisk", "--quiet", str(raw), stdin=script.encode())
    _write_esp(tree, raw, esp)
    _write_bios_boot(tree, raw, bios)
    _write_root(tree, raw, root)


def compress_disk(raw: Path, qcow2: Path) -> None:
    """Convert a raw disk into a compressed qcow2 file."""
    _run(
        "qemu-img",
        "convert",
        "-c",
        "-O",
        "qcow2",
        "-o",
        "compression_type=zstd,cluster_size=65536",
        "-W",
        "-m",
        "4",
        str(raw),
        str(qcow2),
    )


def _write_root(tree: Tree, raw: Path, root: Partition) -> None:
    _run(
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-L",
        LABEL,
        "-m",
        "0",
        "-E",
        f"offset={root.start * MIB},lazy_itable_init=0,root_owner=0:0",
        "-d",
        str(tree.root),
        str(raw),
        f"{root.size * 1024}k",
    )


def _write_esp(tree: Tree, raw: Path, esp: Partition) -> None:
    image = raw.with_suffix(".esp")
    loader = raw.with_suffix(".efi")
    loader.write_bytes(_grub_image(tree, "x86_64-efi", "all_video", "efi_gop", "fat"))
    with image.open("wb") as file:
        file.truncate(esp.size * MIB)
    _run("mkfs.vfat", "-F", "32", "-s", "1", "-n", "ESP", str(image))
    _run("mmd", "-i", str(image), "::EFI", "::EFI/BOOT")
    _run("mcopy", "-i", str(image), str(loader), "::EFI/BOOT/BOOTX64.EFI")
    with raw.open("r+b") as disk:
        disk.seek(esp.start * MIB)
        disk.write(image.read_bytes())
    image.unlink()
    loader.unlink()


def _write_bios_boot(tree: Tree, raw: Path, bios: Partition) -> None:
    core = bytearray(_grub_image(tree, "i386-pc", "biosdisk"))
    core += b"\0" * (-len(core) % SECTOR)
    boot = bytearray(tree.path("/usr/lib/grub/i386-pc/boot.img").read_bytes())
    first = bios.start * MIB // SECTOR
    kernel_sector, drive_check = 0x5C, 0x66
    struct.pack_into("<Q", boot, kernel_sector, first)
    boot[drive_check : drive_check + 2] = b"\x90\x90"
    load_segment = 0x820
    struct.pack_into("<QHH", core, SECTOR - 12, first + 1, len(core) // SECTOR - 1, load_segment)
    code_length = 440
    with raw.open("r+b") as disk:
        disk.write(boot[:code_length])
        disk.seek(bios.start * MIB)
        disk.write(core)


def _grub_image(tree: Tree, kind: str, *modules: str) -> bytes:
    early, built = "/root/early.cfg", "/root/grub.img"
    tree.write(early, EARLY_CONFIG)
    tree.run(
        "grub-mkimage",
        "-O",
        kind,
        "-o",
        built,
        "-c",
        early,
        "-p",
        "/boot/grub",
        *GRUB_MODULES,
        *modules,
    )
    content = tree.path(built).read_bytes()
    tree.remove(early, built)
    return content


def _run(*command: str, stdin: bytes = b"") -> None:
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise BuildError(
            f"{command[0]} failed while writing the disk: {said[-400:]}",
            "Check the free space of the target directory.",
        )
