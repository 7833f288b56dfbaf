import json
from pathlib import Path

import pytest

from lebureau_app.errors import UnknownMachine
from lebureau_app.providers.base import Power
from lebureau_app.providers.qemu.machine import (
    Boot,
    Identity,
    MachineFolder,
    machine_folders,
    tail,
)
from lebureau_app.settings import Settings

DESKTOP = "dsk_01J00000000000000000000000"
IDENTITY = Identity(DESKTOP, "u-1", "atlas", "std", 2, 4 << 30, 20 << 30, "ssh-ed25519 AAAA", "q35")
BOOT = Boot("b1", {22: 40022}, host_boot="h1")


@pytest.fixture
def folder(tmp_path: Path) -> MachineFolder:
    made = MachineFolder(Settings(home=tmp_path), DESKTOP)
    made.path.mkdir(parents=True)
    return made


def test_an_identity_is_kept(folder: MachineFolder):
    folder.write_identity(IDENTITY)
    assert folder.proved("u-1") == IDENTITY


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"desktop_id": 1}', json.dumps({"desktop_id": DESKTOP, "uuid": "u-1"})],
)
def test_a_damaged_identity_proves_nothing(folder: MachineFolder, content: str):
    (folder.path / "spec.json").write_text(content)
    with pytest.raises(UnknownMachine):
        folder.proved("u-1")


def test_the_machine_of_another_desktop_proves_nothing(folder: MachineFolder, tmp_path: Path):
    other = MachineFolder(Settings(home=tmp_path), "dsk_other")
    other.path.mkdir()
    other.write_identity(IDENTITY)
    with pytest.raises(UnknownMachine, match="another desktop"):
        other.proved("u-1")


@pytest.mark.parametrize("boot", [BOOT, BOOT.ended(Power.FAILED, "It died.")])
def test_a_boot_is_kept(folder: MachineFolder, boot: Boot):
    folder.write_boot(boot)
    assert folder.boot() == boot


@pytest.mark.parametrize("content", ["", "[]", '{"ports": 3}', '{"id": "b1", "extra": 1}'])
def test_a_damaged_boot_is_not_taken_for_none(folder: MachineFolder, content: str):
    assert folder.boot() is None
    (folder.path / "boot.json").write_text(content)
    assert folder.boot() == Boot("", {}, host_boot="")


def test_last_words_are_of_this_boot_only(folder: MachineFolder):
    folder.head_log(BOOT)
    with folder.log.open("a") as log:
        log.write("old news\n")
    later = Boot("b2", {}, host_boot="h1")
    folder.head_log(later)
    assert folder.last_words(later) == ""
    with folder.log.open("a") as log:
        log.write("one\ntwo\nthree\nfour\n")
    assert folder.last_words(later) == "two\nthree\nfour"


def test_a_log_is_readable_for_people(tmp_path: Path):
    log = tmp_path / "serial.log"
    log.write_bytes("\x1b[!p\x1b[?7h\x1b[31mPower\x1b[0m down\r\nGrüße\x07\n".encode())
    assert tail(log, 5) == "Power down\nGrüße"
    assert tail(log, 1) == "Grüße"
    assert tail(tmp_path / "none", 1) == ""


def test_only_folders_that_can_be_desktops_are_machines(folder: MachineFolder, tmp_path: Path):
    for name in (".dsk_1.new", "a b", "ü"):
        (folder.path.parent / name).mkdir()
    (folder.path.parent / "file").touch()
    assert [found.desktop_id for found in machine_folders(Settings(home=tmp_path))] == [DESKTOP]


def test_nothing_is_left_after_removal(folder: MachineFolder, tmp_path: Path):
    folder.make_run_folder()
    folder.write_identity(IDENTITY)
    folder.egress.touch()
    folder.remove()
    folder.remove()
    assert list((tmp_path / "desktops").iterdir()) == list((tmp_path / "run").iterdir()) == []
