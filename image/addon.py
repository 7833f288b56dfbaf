"""Compiles what is written in C, and leaves no compiler behind."""

from __future__ import annotations

from image.tree import Tree

FOLDER = "/usr/local/lib/lebureau"
COMPILER = ("tcc", "binutils", "libc6-dev")


def build_addons(tree: Tree) -> None:
    """Compile the addon that reseeds Node, and the command `lebureau-guest`; remove the compiler.

    Raises:
        BuildError: One cannot be compiled, or does not work in the image.
    """
    tree.shell(f"""
        cd {FOLDER}/launcher
        mkdir -p /usr/local/sbin
        tcc -o /usr/local/sbin/lebureau-guest launcher.c
        cd {FOLDER}/reseed
        tcc -c -o /root/reseed.o reseed.c
        ld -shared -z noexecstack -o reseed.node /root/reseed.o -lc
        rm /root/reseed.o
        apt-get purge --yes --quiet --autoremove {" ".join(COMPILER)}
        mkdir -p /run/lebureau/reseed
        node --require=./preload.cjs --eval 'crypto.randomUUID()'
        lebureau-guest --help
    """)
