"""Runs OpenClaw while the image is built, so that no desktop pays for its first start.

Its own first start unpacks, migrates and compiles; all but identities stays in the image.
"""

from __future__ import annotations

from image.configure import HOME, USER
from image.recipe import HERE
from image.tree import Tree

COMPILE_CACHE = "/var/cache/lebureau/node"
RECORDS = "/var/cache/lebureau/modules"
_RECORDER = f"{RECORDS}/record.cjs"


def record_modules(tree: Tree) -> None:
    """Run the gateway and note in `RECORDS` which modules its threads load, in their order.

    Raises:
        BuildError: It did not become ready.
    """
    tree.write(_RECORDER, (HERE / "bundling" / "record.cjs").read_bytes())
    _run_gateway(tree, RECORDS, "record")


def prime_openclaw(tree: Tree) -> None:
    """Run the gateway, so that what it compiles and migrates is in the image.

    Raises:
        BuildError: It did not become ready.
    """
    _run_gateway(tree, COMPILE_CACHE, "prime")


def _run_gateway(tree: Tree, folder: str, purpose: str) -> None:
    """Start it in a network of its own, wait until it is ready and has answered, and stop it."""
    tree.run(
        "sh",
        "-ec",
        f"""
        ip link set lo up
        install -d -o {USER} -g {USER} {folder}
        install -d -o {USER} -g {USER} -m 700 /run/lebureau
        exec setpriv --reuid={USER} --regid={USER} --init-groups --reset-env \
            env HOME={HOME} LC_ALL=C.UTF-8 python3 - {folder} {purpose}
    """,
        network=False,
        stdin=(HERE / "priming" / "run_gateway.py").read_bytes(),
    )
