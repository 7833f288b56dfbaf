"""The built pages: exporting them, finding them at run time, and what a strict CSP allows of them."""

import base64
import fcntl
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reflex_base.plugins import Plugin

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / ".web"
STATIC = WEB / "build" / "client"
PLACEHOLDER_ORIGIN = "http://localhost:8000"

_STAMP = WEB / "lebureau.stamp"
_SOURCES = (
    "rxconfig.py",
    "bunfig.toml",
    "lebureau_app/frontend.py",
    "lebureau_app/lebureau_app.py",
    "lebureau_app/pages/**/*.py",
    "lebureau_app/components/**/*.*",
    "lebureau_app/state/**/*.py",
    "assets/**/*.*",
    "reflex.lock/*",
)
_BAKED_URL = re.compile(r"""(["'`])(ws|http)://localhost:8000(/[A-Za-z_/]*)\1""")
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


class BuildFailed(RuntimeError):
    """The pages could not be built; the message carries the end of the build's output."""


class SameOriginPlugin(Plugin):
    """Makes the built pages talk to the origin they came from.

    Reflex inlines absolute backend addresses (`ws://localhost:8000/_event`), which are wrong behind
    any other name, port or TLS.
    """

    def post_build(self, **context: Any) -> None:
        """Rewrite the baked addresses in every script of the build.

        Raises:
            RuntimeError: Nothing was found to rewrite: Reflex has changed how it inlines them.
        """
        rewritten = sum(_make_same_origin(js) for js in Path(context["static_dir"]).rglob("*.js"))
        if not rewritten:
            raise RuntimeError(
                "Reflex no longer bakes the backend address as it did: see frontend.py"
            )


def _make_same_origin(script: Path) -> int:
    def relative(baked: re.Match[str]) -> str:
        scheme = '.replace(/^http/,"ws")' if baked[2] == "ws" else ""
        origin = f'(typeof location<"u"?location.origin:"{PLACEHOLDER_ORIGIN}")'
        return f'({origin}{scheme}+"{baked[3]}")'

    text, count = _BAKED_URL.subn(relative, script.read_text())
    if count:
        script.write_text(text)
    return count


def content_hash() -> str:
    """What the build depends on, as one SHA-256."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _SOURCES for path in ROOT.glob(pattern)}):
        if path.is_file() and "external" not in path.parts and "__pycache__" not in path.parts:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the built pages are those of the sources."""
    return (STATIC / "index.html").exists() and _built_hash() == content_hash()


def build(force: bool = False) -> bool:
    """Export the pages where they are missing or out of date.

    Args:
        force: Build even if nothing has changed.

    Returns:
        Whether there was something to build.

    Raises:
        BuildFailed: The export failed.
    """
    with _one_at_a_time():
        if is_current() and not force:
            return False
        export = subprocess.run(
            [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"],
            cwd=ROOT,
            env=_build_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if export.returncode:
            raise BuildFailed(
                f"The pages could not be built:\n{export.stdout[-4000:]}{export.stderr[-4000:]}"
            )
        _STAMP.write_text(content_hash())
        return True


def prepare_runtime(home: Path) -> None:
    """Point Reflex at the built pages, so that serving compiles nothing and needs no bun.

    Changes the working directory: Reflex reads `rxconfig.py` from there, and silently falls back
    to its defaults without it. Call before the app is imported.

    Args:
        home: The data folder; Reflex keeps its own files below it.
    """
    os.chdir(ROOT)
    os.environ.update(
        {
            "__REFLEX_SKIP_COMPILE": "true",
            "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
            "REFLEX_ENV_MODE": "prod",
            "REFLEX_BACKEND_ONLY": "true",
            "REFLEX_WEB_WORKDIR": str(WEB),
            "REFLEX_DIR": str(home / "reflex"),
            "REFLEX_STATES_WORKDIR": str(home / "reflex" / "states"),
            "REFLEX_UPLOADED_FILES_DIR": str(home / "reflex" / "uploads"),
            "REFLEX_TELEMETRY_ENABLED": "false",
            "REFLEX_CHECK_LATEST_VERSION": "false",
        }
    )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def script_hashes(static_dir: Path = STATIC) -> list[str]:
    """The inline scripts of the build as CSP sources (CSP Level 3, `hash-source`).

    Args:
        static_dir: Where the exported pages are.

    Returns:
        `'sha256-…'` for each different inline script, sorted.
    """
    scripts = {
        script.encode()
        for page in static_dir.rglob("*.html")
        for script in _INLINE_SCRIPT.findall(page.read_text())
    }
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    return sorted(f"'sha256-{digest}'" for digest in digests)


def _built_hash() -> str:
    return _STAMP.read_text() if _STAMP.exists() else ""


def _build_environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if "REFLEX" not in name}
    return own | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "REFLEX_DIR": str(ROOT / ".cache" / "reflex"),
        "REFLEX_USE_SYSTEM_BUN": "1",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
    }


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "frontend.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
