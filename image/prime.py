"""Runs OpenClaw once while the image is built, so that no desktop pays for its first start.

Its own first start unpacks, migrates and compiles; all but identities stays in the image.
"""

from __future__ import annotations

from image.configure import HOME, USER
from image.recipe import HERE
from image.tree import Tree

COMPILE_CACHE = "/var/cache/lebureau/node"


def prime_openclaw(tree: Tree) -> None:
    """Start the gateway in a network of its own, wait until it is ready, and stop it.

    Raises:
        BuildError: It did not become ready.
    """
    tree.run(
        "sh",
        "-ec",
        f"""
        ip link set lo up
        install -d -o {USER} -g {USER} {COMPILE_CACHE}
        install -d -o {USER} -g {USER} -m 700 /run/lebureau
        exec setpriv --reuid={USER} --regid={USER} --init-groups --reset-env \
            env HOME={HOME} LC_ALL=C.UTF-8 python3 - {COMPILE_CACHE}
    """,
        network=False,
        stdin=(HERE / "priming" / "run_gateway.py").read_bytes(),
    )
