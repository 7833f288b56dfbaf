"""What happens at each boot, before sshd starts."""

from __future__ import annotations

import os
from pathlib import Path

from lebureau_guest import identity
from lebureau_guest.machine import Machine

CREDENTIALS = "/run/credentials/@system"


def boot(machine: Machine) -> None:
    """Take over the system credentials (systemd.exec(5)) and have a host key.

    Credentials: ``lebureau.authorized_key`` is the control plane's public key,
    ``lebureau.hostname`` the machine's name. Both are optional.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIALS)
    if key := _credential(machine, directory, "lebureau.authorized_key"):
        identity.authorize(machine, key)
    if name := _credential(machine, directory, "lebureau.hostname"):
        identity.set_hostname(machine, name)
    identity.ensure_host_key(machine)


def _credential(machine: Machine, directory: str, name: str) -> str:
    return machine.read(str(Path(directory) / name)).strip()
