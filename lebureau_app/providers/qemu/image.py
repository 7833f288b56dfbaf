"""A golden image as the qemu provider finds it on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from lebureau_app.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots from.

    Attributes:
        id: Name of the image's folder.
        disk: The qcow2 file under every overlay; never written to.
        kernel: For direct boot; None where the firmware boots the disk.
        initrd: Beside the kernel.
        cmdline: The kernel's command line.
    """

    id: str
    disk: Path
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""


def load_image(images_dir: Path, image_id: str) -> Image:
    """Read an image's manifest.

    Args:
        images_dir: Where images are kept, one folder each.
        image_id: Name of the folder.

    Returns:
        The image; without a kernel if its manifest has no `cmdline`.

    Raises:
        ProviderError: There is no such image, or its manifest cannot be read.
    """
    folder = images_dir / image_id
    disk = folder / "disk.qcow2"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if not disk.is_file():
            raise FileNotFoundError(disk)
        cmdline = manifest.get("cmdline")
    except (OSError, ValueError, AttributeError) as error:
        raise ProviderError(
            f"The golden image “{image_id}” is not on this host, or is damaged.",
            hint="Build it with `lebureau image build`.",
        ) from error
    if cmdline is None:
        return Image(image_id, disk)
    return Image(image_id, disk, folder / "kernel", folder / "initrd", cmdline)
