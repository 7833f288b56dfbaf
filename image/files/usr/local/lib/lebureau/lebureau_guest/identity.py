"""Who this machine is: name, host key, machine id, and who may sign in."""

from __future__ import annotations

import re
import secrets
import signal

from lebureau_guest.machine import USER, GuestError, Machine

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
MACHINE_ID = "/etc/machine-id"
JOURNALS = ("/run/log/journal", "/var/log/journal")
AUTHORIZED_KEYS = f"/etc/ssh/authorized_keys.d/{USER}"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def authorize(machine: Machine, key: str) -> None:
    """Let the holder of one SSH key, and nobody else, sign in as the desktop's user."""
    machine.write(AUTHORIZED_KEYS, key.strip() + "\n")


def set_hostname(machine: Machine, name: str) -> None:
    """Give the machine a host name.

    Raises:
        GuestError: It is not one.
    """
    if not _LABEL.fullmatch(name):
        raise GuestError("The host name must be 1 to 63 letters, digits and hyphens.")
    if machine.write("/etc/hostname", f"{name}\n"):
        hosts = machine.read("/etc/hosts")
        machine.write("/etc/hosts", re.sub(r"(?m)^127\.0\.1\.1.*$", f"127.0.1.1 {name}", hosts))
        machine.path("/proc/sys/kernel/hostname").write_text(name)


def ensure_host_key(machine: Machine) -> None:
    """Make this machine's own SSH host key, if it has none."""
    if not machine.read(f"{HOST_KEY}.pub"):
        machine.remove(HOST_KEY)
        path = str(machine.path(HOST_KEY))
        machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lebureau", "-f", path])


def host_key(machine: Machine) -> str:
    """Return the public half of the SSH host key, without its comment."""
    return " ".join(machine.read(f"{HOST_KEY}.pub").split()[:2])


def set_machine_id(machine: Machine, new: str) -> None:
    """Change machine-id(5) under the running systemd, and keep its journal readable."""
    if machine.path(MACHINE_ID).is_mount():
        machine.run(["umount", MACHINE_ID])
    old = machine.read(MACHINE_ID).strip()
    if not machine.write(MACHINE_ID, f"{new}\n", mode=0o444):
        return
    for journals in map(machine.path, JOURNALS):
        if old and (journals / old).is_dir():
            (journals / new).symlink_to(old)


def ssh_sessions(machine: Machine) -> list[int]:
    """Return the processes that serve whoever is signed in, or signs in, over SSH."""
    return [
        process
        for process in machine.processes("ssh.service")
        if machine.read(f"/proc/{process}/comm").strip() == "sshd-session"
    ]


def become_another(machine: Machine) -> None:
    """Drop everything a clone shares with its origin: machine id, host key, seed, connections."""
    set_machine_id(machine, secrets.token_hex(16))
    machine.remove("/var/lib/systemd/random-seed")
    machine.remove(HOST_KEY)
    machine.remove(f"{HOST_KEY}.pub")
    ensure_host_key(machine)
    for session in ssh_sessions(machine):
        machine.signal(session, signal.SIGHUP)
    if listener := machine.read("/run/sshd.pid").strip():
        machine.signal(int(listener), signal.SIGHUP)
