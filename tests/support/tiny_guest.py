"""A real guest of one boot sector: up in a second under TCG, and it obeys the power button.

It writes `U` to its serial port, enables the ACPI power button (PM1_EN), sleeps until the button
is pressed (PM1_STS) and switches the machine off (PM1_CNT). SeaBIOS puts these registers at 0x600.
"""

import json
import os
import subprocess
from pathlib import Path

from image.recipe import PROFILES, image_id

IMAGE = "tiny"
NEWER_IMAGE = "tiny-newer"

PANICKING = bytes.fromhex("ba0505b001eef4ebfd")
"""Reports a kernel panic to the pvpanic device (port 0x505) and sleeps."""

SHUTTING_DOWN = bytes.fromhex("ba0406b80020eff4ebfd")
"""Switches itself off at once."""

OBEDIENT = bytes.fromhex(
    "31c08ed8"  # xor ax, ax; mov ds, ax
    "baf803b055ee"  # out 0x3f8, 'U'
    "ba0206b80001ef"  # out PM1_EN, power button
    "fb"  # sti
    "f4"  # sleep: hlt
    "ba0006ed"  # in ax, PM1_STS
    "a9000174f6"  # test ax, power button; jz sleep
    "ba0406b80020ef"  # out PM1_CNT, S5
    "f4ebfd"  # hlt for ever
)

FILLING = bytes.fromhex(
    "31c08ed8"  # xor ax, ax; mov ds, ax
    "baf803b055ee"  # out 0x3f8, 'U'
    "ba0206b80001ef"  # out PM1_EN, power button
    "fb"  # sti
    "f4"  # sleep: hlt
    "ba0006ed"  # in ax, PM1_STS
    "a9000174f6"  # test ax, power button; jz sleep
    "fa660f0116657c"  # cli; lgdt
    "0f20c00c010f22c0"  # enter protected mode
    "bb08008ec3"  # es: 4 GiB from 0
    "24fe0f22c0"  # leave it again
    "fc66bf00001000"  # edi: 1 MiB
    "66b90000fc00"  # ecx: 63 MiB in words of 4 bytes
    "66b8a5a5a5a5"  # eax: what to write
    "6766f3ab"  # rep stosd
    "baf803b046ee"  # out 0x3f8, 'F'
    "f4ebfd"  # hlt for ever
    "0000000000000000ffff00000092cf00"  # descriptors: none, flat data
    "0f00557c0000"  # lgdt's operand
)
"""Fills the 63 MiB above the first one when the power button is pressed, and says so with `F`."""


NOTEBOOK = bytes.fromhex(
    "31c08ed88ec08ed0bc007c"  # segments 0, stack below the program
    "8816007e"  # where the boot drive is kept
    "c606017e2d"  # the letter in memory: "-"
    "b055e86300"  # say "U"
    "ba0206b80001ef"  # out PM1_EN, power button
    "fb"  # sti
    "f4"  # sleep: hlt
    "ba0006eda900017547"  # in ax, PM1_STS; power button: off
    "b401cd1674f0"  # is there a key? (int 16h)
    "b400cd16"  # which?
    "3c77742b"  # "w": write
    "3c727403"  # "r": tell
    "a2017e"  # any other: keep it in memory
    "b80102e83b00"  # tell: read the third sector (int 13h)
    "b03ce83100"  # say "<"
    "a0017ee82b00"  # say the letter in memory
    "a0008008c07502b02de81f00"  # say the letter on disk, or "-"
    "b03ee81a00"  # say ">"
    "ebbd"  # sleep
    "a0017ea20080"  # write: the letter in memory
    "b80103e81100"  # to the third sector
    "ebce"  # tell
    "ba0406b80020eff4ebf6"  # off: out PM1_CNT, S5
    "baf803eec3"  # say: out 0x3f8
    "bb0080b90300b6008a16007ecd13c3"  # a sector of the boot drive, at 0x8000
)
"""Keeps one letter in memory and one on disk, obeys the power button, and answers every key with
both letters, as in `<ab>`: `w` writes the letter in memory to disk, `r` does nothing, and any other
letter becomes the one in memory."""


def make_image(images_dir: Path, image: str = IMAGE, code: bytes = OBEDIENT) -> str:
    """Make the golden image of a tiny guest.

    Args:
        images_dir: Where images are kept.
        image: The image's id.
        code: What the boot sector does.

    Returns:
        The image's id.
    """
    folder = images_dir / image
    folder.mkdir(parents=True)
    raw = folder / "disk.raw"
    raw.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    os.truncate(raw, 1 << 21)
    convert = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2")
    subprocess.run([*convert, str(raw), str(folder / "disk.qcow2")], check=True, timeout=60)
    raw.unlink()
    (folder / "manifest.json").write_text(json.dumps({"id": image}))
    return image


def make_current_image(images: Path) -> None:
    """Make an image that a server takes for the one that its own recipe makes."""
    name = make_image(images, image_id(PROFILES["standard"]))
    manifest = {
        "id": name,
        "profile": "standard",
        "suite": "trixie",
        "created": "2026-11-23T00:00:00Z",
        "size": 1,
    }
    (images / name / "manifest.json").write_text(json.dumps(manifest))
