"""The set-up script, with stand-ins for the commands that change a machine."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"run": "requirements.lock", "test": "requirements-dev.lock"}


class Machine:
    """A checkout whose environment is made, on a machine with stand-ins for apt and QEMU."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.commands = folder / "bin"
        self.called = folder / "apt-calls"
        (self.checkout / "scripts").mkdir(parents=True)
        (self.checkout / ".venv").mkdir()
        self.commands.mkdir()
        shutil.copy(ROOT / "scripts" / "bootstrap.sh", self.checkout / "scripts")
        for purpose, lock in LOCKS.items():
            (self.checkout / lock).write_text(f"{purpose}\n")
        self.stamp("run", "test")
        self.has("dpkg-query", "printf installed")
        self.has("dpkg", "echo amd64")
        self.has("qemu-system-x86_64", "echo QEMU emulator version 10.0.2")
        self.has("apt-get", f'echo "$@" >>{self.called}')
        self.has("sudo", 'exec "$@"')

    def has(self, command: str, script: str) -> None:
        """Give the machine a command."""
        file = self.commands / command
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def stamp(self, *purposes: str) -> None:
        """Say what the Python environment was made from."""
        lines = [
            f"{purpose} {hashlib.sha256((self.checkout / LOCKS[purpose]).read_bytes()).hexdigest()}  -"
            for purpose in purposes
        ]
        (self.checkout / ".venv" / "lebureau.stamp").write_text("\n".join(lines) + "\n")

    def set_up(self, purpose: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            ["bash", str(self.checkout / "scripts" / "bootstrap.sh"), purpose],
            env={**os.environ, "PATH": f"{self.commands}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def apt(self) -> list[str]:
        """What apt-get was asked to do, without its options."""
        if not self.called.exists():
            return []
        options = "-qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "
        return [line.removeprefix(options) for line in self.called.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("purpose", LOCKS)
def test_where_all_is_there_nothing_is_said_or_done(machine: Machine, purpose: str):
    done = machine.set_up(purpose)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.apt == []


def test_only_what_is_missing_is_installed_and_it_is_said(machine: Machine):
    machine.has("dpkg-query", 'case "$*" in *socat) exit 1;; *) printf installed;; esac')
    done = machine.set_up("run")
    assert done.returncode == 0, done.stderr
    assert "Installing with apt: socat\n" in done.stdout
    assert machine.apt == ["update", "install --no-install-recommends socat"]


def test_the_ssh_server_of_the_tests_never_serves_the_machine(machine: Machine):
    machine.has("dpkg-query", 'case "$*" in *openssh-server) exit 1;; *) printf installed;; esac')
    machine.has("systemctl", f'echo "systemctl $@" >>{machine.called}')
    assert machine.set_up("run").stdout == ""
    done = machine.set_up("test")
    assert "Masking ssh.service and ssh.socket" in done.stdout
    assert machine.apt == [
        "systemctl --quiet mask ssh.service ssh.socket",
        "update",
        "install --no-install-recommends openssh-server",
    ]


def test_the_packages_of_the_image_build_are_in_it(machine: Machine):
    (machine.checkout / "image").mkdir()
    shutil.copy(ROOT / "image" / "host-packages.txt", machine.checkout / "image")
    machine.has("dpkg-query", 'case "$*" in *mmdebstrap) exit 1;; *) printf installed;; esac')
    machine.set_up("run")
    assert machine.apt == ["update", "install --no-install-recommends mmdebstrap"]


def test_a_failing_apt_is_quoted(machine: Machine):
    machine.has("dpkg-query", "exit 1")
    machine.has("apt-get", "echo E: no space left on the machine; exit 100")
    done = machine.set_up("run")
    assert done.returncode == 1
    assert "no space left on the machine" in done.stderr
    assert "Set-up stopped:" in done.stderr


def test_a_machine_that_cannot_run_desktops_is_refused(machine: Machine):
    machine.has("dpkg", "echo arm64")
    done = machine.set_up("run")
    assert done.returncode == 1
    assert "amd64" in done.stderr


def test_an_unknown_purpose_is_refused(machine: Machine):
    assert machine.set_up("fly").returncode == 1
