"""What this machine has and lacks for Le Bureau. Looks and tries, and changes nothing."""

import asyncio
import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import psutil
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from image.host import missing_packages
from lebureau_app import db, frontend
from lebureau_app.errors import LeBureauError
from lebureau_app.providers.qemu import accel
from lebureau_app.server import check_listening
from lebureau_app.settings import Settings

GIB = 1 << 30
MIN_QEMU = (10, 0)
QEMU = "qemu-system-x86_64"
MIN_DISK, GOOD_DISK = 10 * GIB, 40 * GIB
MIN_MEMORY, GOOD_MEMORY = 3 * GIB, 8 * GIB
LONGEST_RUN_DIR = 80


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """What a check found, for a person, and what to do about it."""

    verdict: Verdict
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: What was found, for a person.
        fix: What to do about it; empty where all is well.
    """

    name: str
    verdict: Verdict
    what: str
    fix: str = ""


def examine(settings: Settings) -> list[Check]:
    """Carry out every check that concerns the chosen provider.

    Never raises: a check that breaks is a failed check.
    """
    chosen = COMMON | (EMBEDDED if settings.provider == "qemu" else {})
    return [_carried_out(name, check, settings) for name, check in chosen.items()]


def healthy(checks: list[Check]) -> bool:
    """Whether nothing failed."""
    return all(check.verdict is not Verdict.FAIL for check in checks)


def _carried_out(name: str, check: "Examination", settings: Settings) -> Check:
    try:
        return Check(name, *check(settings))
    except LeBureauError as error:
        return Check(name, Verdict.FAIL, error.message, error.hint)
    except Exception as error:
        return Check(name, Verdict.FAIL, f"could not be checked: {error}", "See the message.")


def _python(_: Settings) -> Finding:
    return Finding(Verdict.OK, ".".join(map(str, sys.version_info[:3])))


def _front_end(_: Settings) -> Finding:
    if not (frontend.STATIC / "index.html").exists():
        return Finding(Verdict.FAIL, "not built", "make build")
    if not frontend.is_current():
        return Finding(Verdict.WARN, "built from older sources", "make build")
    return Finding(Verdict.OK, "built")


def _home(settings: Settings) -> Finding:
    home = settings.home
    if len(str(settings.run_dir.absolute())) > LONGEST_RUN_DIR:
        return Finding(
            Verdict.FAIL,
            f"{home} is too long a path: sockets below it would not fit (unix(7): 107 bytes)",
            "Set LEBUREAU_HOME to a shorter path.",
        )
    if not home.exists():
        return Finding(Verdict.OK, f"{home}, made at the first start")
    mode = stat.S_IMODE(home.stat().st_mode)
    if home.stat().st_uid != os.geteuid():
        return Finding(
            Verdict.FAIL, f"{home} belongs to somebody else", f"chown -R $(id -u) {home}"
        )
    if mode & 0o077:
        return Finding(Verdict.FAIL, f"{home} is open to others ({mode:o})", f"chmod 700 {home}")
    return Finding(Verdict.OK, str(home))


def _master_key(settings: Settings) -> Finding:
    if settings.master_key:
        return Finding(Verdict.OK, "from LEBUREAU_MASTER_KEY")
    file = settings.home / "master.key"
    if not file.exists():
        return Finding(Verdict.OK, "made with the first secret")
    if file.stat().st_mode & 0o077:
        return Finding(Verdict.FAIL, f"{file} can be read by others", f"chmod 600 {file}")
    return Finding(Verdict.OK, str(file))


def _database(settings: Settings) -> Finding:
    url = make_url(settings.database)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Finding(Verdict.OK, f"{shown}, made at the first start")
    try:
        current = asyncio.run(_schema(settings.database))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        what = f"{shown} does not answer: {reason}"
        return Finding(Verdict.FAIL, what, "Check LEBUREAU_DATABASE_URL.")
    if current != ScriptDirectory(str(db.MIGRATIONS)).get_current_head():
        what = f"{shown}, schema {current or 'empty'}; the next start migrates it"
        return Finding(Verdict.WARN, what)
    return Finding(Verdict.OK, f"{shown}, schema {current}")


async def _schema(url: str) -> str | None:
    engine = db.make_engine(url)
    try:
        async with engine.execution_options(reads=True).connect() as connection:
            return await connection.run_sync(_revision)
    finally:
        await engine.dispose()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _address(settings: Settings) -> Finding:
    check_listening(settings)
    where = f"{settings.host}:{settings.port}"
    with socket.socket() as probe:
        probe.settimeout(2)
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    if taken:
        return Finding(Verdict.WARN, f"{where} is in use (by Le Bureau itself, if it runs)")
    return Finding(Verdict.OK, f"{where} is free")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    what = f"{free / GIB:.0f} GiB free in {folder}"
    if free < MIN_DISK:
        return Finding(
            Verdict.FAIL, what, "The golden image and one desktop need 10 GiB: make room."
        )
    if free < GOOD_DISK:
        return Finding(
            Verdict.WARN, what, "Enough to begin; a desktop may grow to its tier's disk."
        )
    return Finding(Verdict.OK, what)


def _memory(_: Settings) -> Finding:
    free = psutil.virtual_memory().available
    what = f"{free / GIB:.1f} GiB available"
    if free < MIN_MEMORY:
        return Finding(Verdict.FAIL, what, "A desktop of the smallest tier needs 4 GiB.")
    if free < GOOD_MEMORY:
        return Finding(Verdict.WARN, what, "Room for one small desktop.")
    return Finding(Verdict.OK, what)


def _qemu(_: Settings) -> Finding:
    if shutil.which(QEMU) is None or shutil.which("qemu-img") is None:
        return Finding(Verdict.FAIL, "not installed", "make run")
    version = accel.qemu_version(QEMU)
    found = ".".join(map(str, version))
    if version < MIN_QEMU:
        return Finding(Verdict.FAIL, found, "Install QEMU 10 or later; `make run` does.")
    return Finding(Verdict.OK, found)


def _kvm(_: Settings) -> Finding:
    if shutil.which(QEMU) is None:
        return Finding(Verdict.FAIL, "cannot be tried without QEMU", "make run")
    accelerator = accel.probe(QEMU, accel.qemu_version(QEMU))
    if accelerator.name == "kvm":
        return Finding(Verdict.OK, "a test guest ran with it")
    return Finding(Verdict.WARN, accelerator.note)


def _socat(_: Settings) -> Finding:
    if shutil.which("socat") is None:
        return Finding(
            Verdict.FAIL, "not installed: desktops have no way out without it", "make run"
        )
    return Finding(Verdict.OK, "installed")


def _image_tools(_: Settings) -> Finding:
    if missing := missing_packages():
        return Finding(
            Verdict.WARN,
            f"no golden image can be built without {', '.join(missing)}",
            f"apt-get install {' '.join(missing)}",
        )
    return Finding(Verdict.OK, "installed")


def _golden_image(settings: Settings) -> Finding:
    images = sorted(settings.images_dir.glob("*/manifest.json"))
    if not images:
        return Finding(
            Verdict.WARN, "none yet", "The server builds it; or now: lebureau image build"
        )
    return Finding(Verdict.OK, ", ".join(manifest.parent.name for manifest in images))


def _golden_machines(settings: Settings) -> Finding:
    records = sorted(settings.goldens_dir.glob("*/golden.json"))
    if not records:
        return Finding(Verdict.WARN, "none yet: desktops boot", "The server makes them by itself.")
    sizes = sorted({json.loads(record.read_text())["memory"] for record in records})
    told = ", ".join(f"{size / GIB:g} GiB" for size in sizes)
    return Finding(Verdict.OK, f"for desktops with {told} of memory")


def _kept_memories(settings: Settings) -> Finding:
    """Memory that another version of QEMU has kept may be refused when its desktop is to wake."""
    records = [
        *settings.desktops_dir.glob("*/hibernation/memory.json"),
        *settings.snapshots_dir.glob("*/snapshot.json"),
    ]
    kept = [
        release for record in records if (release := json.loads(record.read_text()).get("qemu"))
    ]
    if not kept:
        return Finding(Verdict.OK, "none")
    others = [release for release in kept if release != accel.qemu_release(QEMU)]
    if not others:
        return Finding(Verdict.OK, f"{len(kept)}, all of this QEMU")
    return Finding(
        Verdict.WARN,
        f"{len(others)} of {len(kept)} are of another QEMU: {', '.join(sorted(set(others)))}",
        "If QEMU refuses one, its desktop stays as it is: bring that QEMU back, or start it cold.",
    )


Examination = Callable[[Settings], Finding]

COMMON: dict[str, Examination] = {
    "Python": _python,
    "front end": _front_end,
    "home": _home,
    "master key": _master_key,
    "database": _database,
    "address": _address,
    "disk": _disk,
    "memory": _memory,
}
EMBEDDED: dict[str, Examination] = {
    "QEMU": _qemu,
    "KVM": _kvm,
    "socat": _socat,
    "image tools": _image_tools,
    "golden image": _golden_image,
    "golden machines": _golden_machines,
    "kept memories": _kept_memories,
}
