"""OpenClaw's program in fewer files: to find, read and link a module costs more than to run it.

At a start it loads some 12,000 modules in six threads, which is more than half of all that it does until
it is ready. Where QEMU emulates the CPU, that start takes minutes.
"""

from __future__ import annotations

from image.openclaw import NPM_INSTALL, OPENCLAW
from image.prime import RECORDS, record_modules
from image.recipe import HERE, Profile
from image.software import SCRATCH, fetch_environment
from image.tree import Tree

_WORKSHOP = f"{SCRATCH}/bundling"


def install_bundler(tree: Tree, profile: Profile) -> None:
    """Fetch Rolldown; it does not stay in the image."""
    tree.shell(
        f"{NPM_INSTALL} --prefix {_WORKSHOP} rolldown@{profile.rolldown}",
        env=fetch_environment(tree),
    )


def bundle_openclaw(tree: Tree) -> None:
    """Run OpenClaw to see what it loads, and bundle that.

    Raises:
        BuildError: It did not run, or could not be bundled.
    """
    record_modules(tree)
    tree.write(f"{_WORKSHOP}/bundle.mjs", (HERE / "bundling" / "bundle.mjs").read_bytes())
    tree.run("node", f"{_WORKSHOP}/bundle.mjs", f"{OPENCLAW}/dist", RECORDS, network=False)
    tree.remove(RECORDS)
