import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from lebureau_guest.carry import FORMER, SERIAL, TOLD, carry
from lebureau_guest.machine import GuestError, Machine, run_command

from image.configure import ENABLED
from image.recipe import FILES

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


class Guest:
    """A guest with a former disk, whose mounting is played and whose copying is real."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounted: list[str] = []
        self.ran: list[str] = []
        self.broken = ""
        self.machine = Machine(root, self.run)
        self.write("sys/block/vda/serial", "")
        self.write("sys/block/vda/size", "9000000")
        self.write("sys/block/vda/vda3/start", "0")
        self.write("sys/block/vda/vda3/size", "9000000")
        self.write("sys/block/vdb/serial", SERIAL)
        self.write("home/agent/from-the-image", "new")
        self.write("etc/machine-id", "of-the-new-one\n")
        self.write("etc/ssh/sshd_config", "new")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def former(self, name: str, text: str) -> Path:
        return self.write(f"{FORMER.lstrip('/')}/{name}", text)

    def run(self, command: Sequence[str]) -> str:
        self.ran.append(command[0])
        if command[0] == self.broken:
            raise GuestError(f"{command[0]} failed: No space\nleft on device")
        match command[0]:
            case "findmnt":
                return "/dev/vda3\n"
            case "mount":
                assert command[3:5] == ["-o", "ro"]
                self.mounted.append(command[5])
            case "umount":
                self.mounted.pop()
            case "cp":
                return run_command(command)
        return ""

    @property
    def told(self) -> str:
        return self.machine.read(TOLD).strip()

    @property
    def home(self) -> list[str]:
        home = self.root / "home/agent"
        return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    guest = Guest(tmp_path)
    guest.former("home/agent/work/plan.txt", "old")
    guest.former("etc/machine-id", "of-the-old-one\n")
    guest.former(HOST_KEY, "private").chmod(0o600)
    guest.former(f"{HOST_KEY}.pub", "ssh-ed25519 OLD lebureau\n")
    return guest


def test_the_home_folder_takes_the_place_of_the_images(guest: Guest) -> None:
    carry(guest.machine)
    assert guest.told == "ok"
    assert guest.home == ["work", "work/plan.txt"]
    assert guest.mounted == []


def test_the_machine_stays_who_it_was(guest: Guest) -> None:
    carry(guest.machine)
    assert guest.machine.read("/etc/machine-id") == "of-the-old-one\n"
    assert guest.machine.read(f"/{HOST_KEY}.pub") == "ssh-ed25519 OLD lebureau\n"
    assert (guest.root / HOST_KEY).stat().st_mode & 0o777 == 0o600
    assert guest.machine.read("/etc/ssh/sshd_config") == "new"


def test_modes_times_links_and_attributes_are_kept(guest: Guest) -> None:
    file = guest.former("home/agent/secret", "x")
    file.chmod(0o640)
    os.utime(file, (1, 1))
    file.with_name("again").hardlink_to(file)
    file.with_name("pointer").symlink_to("secret")
    os.setxattr(file, "user.colour", b"blue")
    carry(guest.machine)
    home = guest.root / "home/agent"
    copy = home / "secret"
    assert (copy.stat().st_mode & 0o777, copy.stat().st_mtime) == (0o640, 1)
    assert copy.samefile(home / "again")
    assert os.readlink(home / "pointer") == "secret"
    assert os.getxattr(copy, "user.colour") == b"blue"


def test_a_machine_without_a_former_disk_is_left_alone(guest: Guest) -> None:
    guest.write("sys/block/vdb/serial", "another")
    carry(guest.machine)
    assert (guest.told, guest.home, guest.ran) == ("", ["from-the-image"], [])


def test_it_begins_anew_where_it_was_interrupted(guest: Guest) -> None:
    guest.write("home/agent/half", "a")
    carry(guest.machine)
    (guest.root / TOLD.lstrip("/")).unlink()
    carry(guest.machine)
    assert (guest.told, guest.home) == ("ok", ["work", "work/plan.txt"])


@pytest.mark.parametrize("broken", ["findmnt", "mount", "cp", "umount"])
def test_what_fails_is_told_in_one_line(guest: Guest, broken: str) -> None:
    guest.broken = broken
    carry(guest.machine)
    assert guest.told == f"{broken} failed: No space left on device"


def test_a_home_folder_that_did_not_fit_leaves_room_to_tell_so(guest: Guest) -> None:
    for key in (guest.root / FORMER.lstrip("/")).glob("etc/ssh/*"):
        key.unlink()
    guest.broken = "cp"
    carry(guest.machine)
    assert guest.home == []
    assert guest.mounted == []


@pytest.mark.parametrize("elsewhere", ["home", "home/agent"])
def test_a_home_folder_that_is_elsewhere_is_not_lost_silently(guest: Guest, elsewhere: str) -> None:
    place = guest.root / FORMER.lstrip("/") / elsewhere
    place.rename(place.with_name("moved"))
    place.symlink_to("moved")
    carry(guest.machine)
    assert guest.told == "The former disk has no folder /home/agent."
    assert guest.home == ["from-the-image"]


def test_nothing_of_the_desktop_begins_before_it() -> None:
    assert "lebureau-carry.service" in ENABLED
    units = FILES / "etc/systemd/system"
    text = (units / "lebureau-carry.service").read_text()
    before = {
        name
        for line in text.splitlines()
        if line.startswith("Before=")
        for name in line.removeprefix("Before=").split()
    }
    ours = {unit.name for unit in units.glob("lebureau-*.service")}
    harmless = {"lebureau-carry.service", "lebureau-names.service", "lebureau-browser.service"}
    assert before == ours - harmless | {"ssh.service"}
    assert f"ConditionPathExists=!{TOLD}" in text
