"""Compiles the addon that reseeds running Node processes, and leaves no compiler behind."""

from __future__ import annotations

from image.tree import Tree

FOLDER = "/usr/local/lib/lebureau/reseed"
COMPILER = ("tcc", "binutils", "libc6-dev")


def build_addon(tree: Tree) -> None:
    """Compile the addon, try it in the image's own Node, and remove the compiler.

    Raises:
        BuildError: It cannot be compiled, or Node does not take it.
    """
    tree.shell(f"""
        cd {FOLDER}
        tcc -c -o /root/reseed.o reseed.c
        ld -shared -z noexecstack -o reseed.node /root/reseed.o -lc
        rm /root/reseed.o
        apt-get purge --yes --quiet --autoremove {" ".join(COMPILER)}
        mkdir -p /run/lebureau/reseed
        node --require=./preload.cjs --eval 'crypto.randomUUID()'
    """)
