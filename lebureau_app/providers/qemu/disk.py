"""The disks of machines: overlays on golden images, made and grown by qemu-img."""

import asyncio
import errno
import os
from pathlib import Path

from lebureau_app.errors import NoCapacity, ProviderError
from lebureau_app.providers.qemu.chain import read_header

SECONDS = 60.0
COPY_SECONDS = 1800.0


async def make_overlay(disk: Path, backing: Path, size: int) -> None:
    """Make an overlay on an image.

    Args:
        disk: The file to make.
        backing: The image's disk; kept as a relative path, so that the data folder can move.
        size: Bytes that the guest will see.

    Raises:
        ProviderError: The disk is smaller than the image, the image cannot be read, or qemu-img
            failed.
    """
    needed = read_header(backing).size
    if size < needed:
        raise ProviderError(
            f"The golden image needs a disk of {needed} bytes and this desktop has {size}.",
            hint="Choose a tier with a larger disk.",
        )
    overlay = (*("-f", "qcow2", "-F", "qcow2"), "-b", relative_path(backing, disk.parent))
    await _qemu_img("create", "-q", *overlay, str(disk), str(size))


async def make_overlay_ahead(disk: Path, backing: Path, size: int) -> None:
    """Make an overlay on a disk that will be there, with this size, before anybody opens it.

    Args:
        disk: The file to make.
        backing: Where the other disk will be; kept as a relative path.
        size: Bytes of that disk.
    """
    below = ("-u", "-F", "qcow2", "-b", relative_path(backing, disk.parent))
    await _qemu_img("create", "-q", "-f", "qcow2", *below, str(disk), str(size))


async def copy(disk: Path, to: Path) -> None:
    """Copy a disk beside itself, whoever has it open; holes stay holes."""
    await _run("cp", "--sparse=always", "--reflink=auto", str(disk), str(to), seconds=COPY_SECONDS)


async def put_on(disk: Path, backing: Path) -> None:
    """Let a disk that nobody has open stand on a lower disk of its chain.

    What it had from the disks between is copied into it. It may be interrupted.

    Args:
        disk: The overlay.
        backing: One of the disks that it stands on.
    """
    below = ("-F", "qcow2", "-b", relative_path(backing, disk.parent))
    await _qemu_img("rebase", "-q", *below, str(disk), seconds=COPY_SECONDS)


async def name_backing(disk: Path, backing: Path, place: Path) -> None:
    """Let a disk name what it stands on as it is seen from the folder that it is going to.

    Args:
        disk: The overlay, which nobody has open.
        backing: What it stands on, under whatever name so far.
        place: Where it is going.
    """
    below = ("-F", "qcow2", "-b", relative_path(backing, place))
    await _qemu_img("rebase", "-q", "-u", "-f", "qcow2", *below, str(disk))


async def grow(disk: Path, size: int) -> None:
    """Grow a disk that no machine has open to `size` bytes."""
    await _qemu_img("resize", "-q", str(disk), str(size))


def full_disk() -> NoCapacity:
    """The error for a disk of the host that became full."""
    return NoCapacity(
        "This host's disk became full while the state of a desktop was being written.",
        hint="Delete snapshots, or destroy a desktop.",
    )


def relative_path(file: Path, folder: Path) -> str:
    """How a disk in `folder` names another one, so that the data folder can move."""
    return os.path.relpath(file.resolve(), folder.resolve())


async def _qemu_img(*arguments: str, seconds: float = SECONDS) -> str:
    return await _run("qemu-img", *arguments, seconds=seconds)


async def _run(program: str, *arguments: str, seconds: float) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ProviderError(
            f"{program} cannot be run: {error}.",
            hint="Run `lebureau doctor`: it names the packages that are missing.",
        ) from error
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await process.communicate()
    except TimeoutError as error:
        raise ProviderError(
            f"{program} {arguments[0]} did not finish in {seconds:.0f} s: the disk is too slow.",
            hint="Try again when the host is less busy.",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = complaint.decode().strip()
        if os.strerror(errno.ENOSPC) in said:
            raise full_disk()
        raise ProviderError(f"{program} {arguments[0]} failed: {said}")
    return output.decode()
