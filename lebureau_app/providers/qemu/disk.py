"""The disks of machines: overlays on golden images, made and grown by qemu-img."""

import asyncio
import json
import os
from pathlib import Path

from lebureau_app.errors import ProviderError

SECONDS = 60.0


async def make_overlay(disk: Path, backing: Path, size: int) -> None:
    """Make an overlay on an image.

    Args:
        disk: The file to make.
        backing: The image's disk; kept as a relative path, so that the data folder can move.
        size: Bytes that the guest will see.

    Raises:
        ProviderError: The disk is smaller than the image, or qemu-img failed.
    """
    image = json.loads(await _qemu_img("info", "-U", "--output=json", str(backing)))
    needed = image["virtual-size"]
    if size < needed:
        raise ProviderError(
            f"The golden image needs a disk of {needed} bytes and this desktop has {size}.",
            hint="Choose a tier with a larger disk.",
        )
    overlay = (*("-f", "qcow2", "-F", "qcow2"), "-b", _relative(backing, disk.parent))
    await _qemu_img("create", "-q", *overlay, str(disk), str(size))


async def grow(disk: Path, size: int) -> None:
    """Grow a disk that no machine has open to `size` bytes."""
    await _qemu_img("resize", "-q", str(disk), str(size))


def _relative(file: Path, folder: Path) -> str:
    return os.path.relpath(file.resolve(), folder.resolve())


async def _qemu_img(*arguments: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            "qemu-img",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ProviderError(
            f"qemu-img cannot be run: {error}.",
            hint="Run `lebureau doctor`: it names the packages that are missing.",
        ) from error
    try:
        async with asyncio.timeout(SECONDS):
            output, complaint = await process.communicate()
    except TimeoutError as error:
        raise ProviderError(
            f"qemu-img {arguments[0]} did not finish in {SECONDS:.0f} s: the disk is too slow.",
            hint="Try again when the host is less busy.",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ProviderError(f"qemu-img {arguments[0]} failed: {complaint.decode().strip()}")
    return output.decode()
