"""Builds an image: ``python -m image.build --output DIR``.

Progress goes to standard output as JSON lines, the log to standard error or a file.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from image.addon import build_addons
from image.bundle import bundle_openclaw, install_bundler
from image.configure import configure, make_anonymous, write_about
from image.debian import install_debian
from image.disk import compress_disk, write_disk
from image.errors import BuildError
from image.host import require_packages
from image.kernel import extract_kernel, write_initrd
from image.manifest import describe, write_manifest
from image.mirrors import Mirrors, find_mirrors
from image.namespace import run_in_namespace
from image.openclaw import install_openclaw
from image.prime import prime_openclaw
from image.progress import Progress
from image.recipe import PROFILES, Profile, image_id
from image.software import install_node, install_ttyd
from image.tree import Tree

UNFINISHED = ".building-"
REPORTED = 1
NO_SPACE_HINT = "Check the free space and the rights of the target directory, then build again."


def build(
    profile: Profile, output: Path, mirrors: Mirrors, progress: Progress, log: BinaryIO
) -> Path:
    """Build an image, as root of the build's namespace.

    Args:
        profile: What to build.
        output: Directory of images; the result is a directory in it, named by its id.
        mirrors: Where Debian comes from.
        progress: Who is told.
        log: Where the output of commands goes.

    Returns:
        The image's directory.

    Raises:
        BuildError: Something failed; nothing but a directory that the next build removes is left.
    """
    _remove_unfinished(output)
    workshop = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=output))
    try:
        name = image_id(profile)
        result = _assemble(profile, name, workshop, mirrors, progress, log)
        place = output / name
        result.rename(place)
        return place
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _assemble(
    profile: Profile,
    name: str,
    workshop: Path,
    mirrors: Mirrors,
    progress: Progress,
    log: BinaryIO,
) -> Path:
    workshop.chmod(0o755)
    tree = Tree(workshop / "root", log)
    result = workshop / "image"
    result.mkdir()

    def packages_told(percent: int) -> None:
        progress.step("packages", "Installing Debian packages", percent)

    progress.step("packages", f"Getting Debian {profile.suite}")
    install_debian(tree, profile, mirrors, log, packages_told)
    progress.step("node", f"Installing Node.js {profile.node}")
    install_node(tree, profile)
    progress.step("terminal", f"Installing ttyd {profile.ttyd.version}")
    install_ttyd(tree, profile, mirrors)
    progress.step("openclaw", f"Installing OpenClaw {profile.openclaw}")
    install_openclaw(tree, profile)
    install_bundler(tree, profile)
    progress.step("configure", "Setting up the desktop")
    configure(tree)
    build_addons(tree)
    progress.step("bundle", "Putting OpenClaw into fewer files, so that it starts faster")
    bundle_openclaw(tree)
    progress.step("prime", "Starting OpenClaw once, so that desktops start it faster")
    prime_openclaw(tree)
    progress.step("kernel", "Preparing the kernel")
    about = describe(tree, profile, name)
    write_about(tree, about)
    make_anonymous(tree)
    extract_kernel(tree, result / "kernel")
    write_initrd(tree, result / "initrd")
    progress.step("disk", "Writing the disk")
    raw = workshop / "disk.raw"
    write_disk(tree, raw, profile.spare_mib)
    progress.step("compress", "Compressing the disk")
    compress_disk(raw, result / "disk.qcow2")
    progress.step("manifest", "Checking and sealing the image")
    write_manifest(result, about, raw.stat().st_size)
    for file in result.iterdir():
        file.chmod(0o444)
    result.chmod(0o755)
    return result


def _remove_unfinished(output: Path) -> None:
    for leftover in output.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m image.build", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="directory of images")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="standard")
    parser.add_argument("--mirror", help="root of a Debian mirror")
    parser.add_argument("--security-mirror", help="root of a Debian security mirror")
    parser.add_argument("--log", type=Path, help="file for the log instead of standard error")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Build as the command line says.

    Returns:
        0 when the image is in place (also when it was before), 1 when there is none.
    """
    arguments = _arguments(argv)
    progress = Progress(sys.stdout)
    profile = PROFILES[arguments.profile]
    output: Path = arguments.output.resolve()
    place = output / image_id(profile)

    try:
        output.mkdir(parents=True, exist_ok=True)
        with _only_build_in(output):
            if not place.is_dir():
                require_packages()
                mirrors = find_mirrors(arguments.mirror, arguments.security_mirror)
                _build_apart(profile, output, mirrors, progress, arguments.log)
    except _Reported:
        return 1
    except BuildError as error:
        progress.failed(error.message, error.hint)
        return 1
    progress.done(place.name, str(place))
    return 0


class _Reported(Exception):
    """The process that built has already told what went wrong."""


def _build_apart(
    profile: Profile, output: Path, mirrors: Mirrors, progress: Progress, log_file: Path | None
) -> None:
    def work() -> int:
        with _open_log(log_file) as log:
            try:
                build(profile, output, mirrors, progress, log)
            except BuildError as error:
                progress.failed(error.message, error.hint)
                return REPORTED
            except OSError as error:
                log.write(traceback.format_exc().encode())
                progress.failed(f"The image could not be written: {error}", NO_SPACE_HINT)
                return REPORTED
        return 0

    code = run_in_namespace(work)
    if code == REPORTED:
        raise _Reported
    if code:
        raise BuildError(
            f"The build ended without a word (exit code {code}).",
            "Its log may tell more; then build again.",
        )


@contextmanager
def _only_build_in(output: Path) -> Iterator[None]:
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(
                f"Another build is at work in {output}.", "Wait until it has finished."
            ) from error
        yield


def _open_log(path: Path | None) -> BinaryIO:
    return path.open("ab", buffering=0) if path else os.fdopen(os.dup(2), "wb", buffering=0)


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
