"""Turns a Debian tree into a desktop: user, files, units, and nothing that makes two alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from image.recipe import FILES, HERE
from image.tree import Tree

USER = "agent"
USER_ID = 1000
HOME = f"/home/{USER}"
MODES = {
    "/": 0o644,
    "/etc/sudoers.d/": 0o440,
    "/usr/local/bin/": 0o755,
    "/usr/local/sbin/": 0o755,
    "/usr/local/libexec/": 0o755,
}
SLOW_LOGINS = ("/etc/profile.d/bash_completion.sh", "/etc/profile.d/Z99-cloud-*.sh")
"""What each login shell would load or ask for; completions are loaded by `.bashrc`, at need."""

ENABLED = (
    "lebureau-carry.service",
    "lebureau-identity.service",
    "lebureau-grow.service",
    "lebureau-screen.service",
    "lebureau-desktop.service",
    "lebureau-ready.service",
    "lebureau-browser.socket",
    "ssh.service",
    "systemd-networkd.service",
    "lebureau-names.service",
    "qemu-guest-agent.service",
)


def configure(tree: Tree) -> None:
    """Make the user, put the image's own files in place and settle which units run."""
    tree.copy_in(FILES, MODES)
    tree.remove(*SLOW_LOGINS)
    _settle_units(tree)
    tree.shell(f"""
        useradd --create-home --shell /bin/bash --uid {USER_ID} --groups sudo --comment Agent {USER}
        usermod --password '*' root
        usermod --password '*' {USER}
        install -d -o {USER} -g {USER} {HOME}/work {HOME}/.cache {HOME}/.config {HOME}/Desktop
        install -d -o {USER} -g {USER} -m 700 {HOME}/.openclaw
        update-alternatives --install /usr/bin/x-www-browser x-www-browser \
            /usr/local/bin/lebureau-browser 200
        python3 -m compileall -q /usr/local/lib/lebureau
        fc-cache -f
        update-desktop-database -q
        update-initramfs -u -k all
        touch /etc/.updated /var/.updated
    """)


def write_about(tree: Tree, about: dict[str, Any]) -> None:
    """Leave in the image which image it is."""
    tree.write("/etc/lebureau/image.json", json.dumps(about, indent=2) + "\n")


def make_anonymous(tree: Tree) -> None:
    """Remove what the build left and what must differ between two machines."""
    tree.shell("apt-get clean; rm -rf /var/lib/apt/lists/*")
    tree.remove(
        "/tmp/*",  # noqa: S108 - inside the image
        "/tmp/.[!.]*",  # noqa: S108
        "/var/tmp/*",  # noqa: S108
        "/run/*",
        "/root/build",
        "/root/.npm",
        "/root/.cache",
        "/root/.config",
        "/root/.local",
        "/var/log/*.log",
        "/var/log/apt/*",
        "/var/cache/apt/*.bin",
        "/etc/ssh/ssh_host_*",
        "/var/lib/systemd/random-seed",
        "/usr/sbin/policy-rc.d",
        "/etc/hostname",
        "/usr/share/doc/*/*.gz",
        "/var/cache/debconf/*-old",
        "/var/lib/dpkg/*-old",
    )
    tree.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    tree.write("/etc/hostname", "lebureau\n")
    tree.write("/etc/machine-id", "")
    tree.link("/var/lib/dbus/machine-id", "/etc/machine-id")


def _settle_units(tree: Tree) -> None:
    for section, name in _masked():
        place = "system" if section == "units" else "system-generators"
        tree.link(f"/etc/systemd/{place}/{name}", "/dev/null")
    tree.run("systemctl", "--quiet", "enable", *ENABLED)


def _masked() -> Iterator[tuple[str, str]]:
    section = ""
    for line in (HERE / "units-masked.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            yield section, line
