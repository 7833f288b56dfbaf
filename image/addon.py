"""Compiles the addon that reseeds running Node processes, and leaves no compiler behind."""

from __future__ import annotations

from image.tree import Tree

FOLDER = "/usr/local/lib/lebureau/reseed"
COMPILER = ("tcc", "libc6-dev")


def build_addon(tree: Tree) -> None:
    """Compile the addon, try it in the image's own Node, and remove the compiler.

    Raises:
        BuildError: It cannot be compiled, or Node does not take it.
    """
    tree.shell(f"""
        tcc -shared -o {FOLDER}/reseed.node {FOLDER}/reseed.c -lpthread
        apt-get purge --yes --quiet --autoremove {" ".join(COMPILER)}
        mkdir -p /run/lebureau/reseed
        node --require={FOLDER}/preload.cjs --eval 'crypto.randomUUID()'
    """)
