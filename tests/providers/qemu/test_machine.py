import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError, UnknownMachine
from lebureau_app.providers.base import Origin, Power
from lebureau_app.providers.qemu.machine import (
    Boot,
    Identity,
    MachineFolder,
    Pending,
    machine_folders,
    tail,
)
from lebureau_app.settings import Settings

DESKTOP = "dsk_01J00000000000000000000000"
IDENTITY = Identity(DESKTOP, "u-1", "atlas", "std", 2, 4 << 30, 20 << 30, "ssh-ed25519 AAAA", "q35")
BOOT = Boot("b1", {22: 40022}, host_boot="h1")


@pytest.fixture
def home() -> Iterator[Path]:
    """Its name is short, since those of Unix sockets are."""
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        yield Path(folder)


@pytest.fixture
def folder(home: Path) -> MachineFolder:
    made = MachineFolder(Settings(home=home), DESKTOP)
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


def test_the_machine_of_another_desktop_proves_nothing(folder: MachineFolder, home: Path):
    other = MachineFolder(Settings(home=home), "dsk_other")
    other.path.mkdir()
    other.write_identity(IDENTITY)
    with pytest.raises(UnknownMachine, match="another desktop"):
        other.proved("u-1")


RESUMED = replace(BOOT, origin=Origin.GOLDEN, note="slow", settled=False)


@pytest.mark.parametrize("boot", [BOOT, BOOT.ended(Power.FAILED, "It died."), RESUMED])
def test_a_boot_is_kept(folder: MachineFolder, boot: Boot):
    folder.write_boot(boot)
    assert folder.boot() == boot


@pytest.mark.parametrize("content", ["", "[]", '{"ports": 3}', '{"id": "b1", "extra": 1}'])
def test_a_damaged_boot_is_not_taken_for_none(folder: MachineFolder, content: str):
    assert folder.boot() is None
    (folder.path / "boot.json").write_text(content)
    assert folder.boot() == Boot("", {}, host_boot="")


def test_records_of_the_first_release_are_understood(folder: MachineFolder):
    spec = {name: value for name, value in asdict(IDENTITY).items() if name != "golden"}
    (folder.path / "spec.json").write_text(json.dumps(spec))
    later = {"origin", "note", "settled"}
    boot = {name: value for name, value in asdict(BOOT).items() if name not in later}
    (folder.path / "boot.json").write_text(json.dumps(boot))
    assert folder.identity() == IDENTITY
    assert folder.boot() == BOOT


@pytest.mark.parametrize(
    "pending", [Pending(Origin.GOLDEN, "key-1"), Pending(Origin.FORK, "snp_1", cold=True)]
)
def test_what_a_machine_begins_from_is_kept_until_it_is_dropped(folder: MachineFolder, pending):
    assert folder.pending() is None
    folder.write_pending(pending)
    assert folder.pending() == pending
    assert folder.waits()
    folder.drop_pending()
    folder.drop_pending()
    assert folder.pending() is None
    assert not folder.waits()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"origin": "moon", "from": "key-1"}'])
def test_a_damaged_beginning_is_not_taken_for_none(folder: MachineFolder, content: str):
    (folder.path / "pending.json").write_text(content)
    assert folder.waits()
    with pytest.raises(ProviderError, match="cannot be read"):
        folder.pending()


def test_a_memory_waits_once_it_is_whole_and_until_it_is_used(folder: MachineFolder):
    folder.hibernation.mkdir()
    (folder.hibernation / "memory").touch()
    assert not folder.is_hibernated()
    (folder.hibernation / "memory.json").write_text("{}")
    assert folder.is_hibernated()
    assert folder.waits()
    folder.use_hibernation()
    assert not folder.is_hibernated()
    assert folder.used_hibernation.exists()
    folder.forget_used_hibernation()
    folder.use_hibernation()
    assert not folder.used_hibernation.exists()


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


def test_only_folders_that_can_be_desktops_are_machines(folder: MachineFolder, home: Path):
    for name in (".dsk_1.new", "a b", "ü"):
        (folder.path.parent / name).mkdir()
    (folder.path.parent / "file").touch()
    assert [found.desktop_id for found in machine_folders(Settings(home=home))] == [DESKTOP]


def test_nothing_is_left_after_removal(folder: MachineFolder, home: Path):
    folder.make_run_folder()
    folder.write_identity(IDENTITY)
    folder.egress.touch()
    folder.remove()
    folder.remove()
    assert list((home / "desktops").iterdir()) == list((home / "run").iterdir()) == []
