"""The doctor finds what is wrong and says how to mend it."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from lebureau_app import db, doctor
from lebureau_app.doctor import Check, Verdict
from lebureau_app.settings import Settings, get_settings


def examined(settings: Settings, name: str) -> Check:
    """The outcome of one check."""
    return next(check for check in doctor.examine(settings) if check.name == name)


@pytest.fixture
def fake(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", provider="fake")


def test_a_new_home_is_fine_and_is_not_made(fake: Settings):
    assert examined(fake, "home").verdict is Verdict.OK
    assert not fake.home.exists()


def test_a_home_open_to_others_fails_with_the_command_that_mends_it(fake: Settings):
    fake.home.mkdir(mode=0o755)
    check = examined(fake, "home")
    assert check.verdict is Verdict.FAIL
    assert check.fix == f"chmod 700 {fake.home}"


def test_a_home_too_deep_for_sockets_fails(tmp_path: Path):
    deep = Settings(home=tmp_path / ("deep" * 25), provider="fake")
    assert examined(deep, "home").verdict is Verdict.FAIL


def test_a_master_key_that_others_can_read_fails(fake: Settings):
    fake.make_folders()
    (fake.home / "master.key").write_text("k" * 43)
    (fake.home / "master.key").chmod(0o644)
    assert examined(fake, "master key").verdict is Verdict.FAIL


def test_a_taken_port_is_named(fake: Settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = examined(fake.model_copy(update={"port": port}), "address")
    assert check.verdict is Verdict.WARN
    assert str(port) in check.what


def test_listening_in_the_clear_fails(fake: Settings):
    check = examined(fake.model_copy(update={"host": "0.0.0.0"}), "address")
    assert check.verdict is Verdict.FAIL
    assert "LEBUREAU_TLS_CERT" in check.fix


def test_an_unreachable_database_fails_without_its_password(fake: Settings):
    url = "postgresql+asyncpg://lebureau:verysecret@127.0.0.1:1/lebureau"
    check = examined(fake.model_copy(update={"database_url": url}), "database")
    assert check.verdict is Verdict.FAIL
    assert "verysecret" not in check.what


def test_a_migrated_database_is_fine(fake: Settings, monkeypatch: pytest.MonkeyPatch):
    fake.make_folders()
    monkeypatch.setenv("LEBUREAU_HOME", str(fake.home))
    get_settings.cache_clear()
    assert examined(fake, "database").what.endswith("made at the first start")
    asyncio.run(_migrate())
    get_settings.cache_clear()
    assert examined(fake, "database").verdict is Verdict.OK


async def _migrate() -> None:
    await db.dispose()
    await db.migrate()
    await db.dispose()


def test_a_database_that_is_behind_is_a_warning(fake: Settings):
    fake.make_folders()
    (fake.home / "lebureau.db").touch()
    check = examined(fake, "database")
    assert check.verdict is Verdict.WARN
    assert "migrates it" in check.what


def test_without_qemu_the_embedded_provider_fails(fake: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", os.devnull)
    embedded = fake.model_copy(update={"provider": "qemu"})
    failed = {check.name for check in doctor.examine(embedded) if check.verdict is Verdict.FAIL}
    assert {"QEMU", "KVM", "socat"} <= failed


def test_a_check_that_breaks_is_a_failed_check(fake: Settings, monkeypatch: pytest.MonkeyPatch):
    def breaks(_: Settings) -> doctor.Finding:
        raise OSError("the disk is on fire")

    monkeypatch.setitem(doctor.COMMON, "disk", breaks)
    check = examined(fake, "disk")
    assert check.verdict is Verdict.FAIL
    assert "on fire" in check.what
    assert not doctor.healthy([check])


def test_golden_machines_are_told_by_their_size(fake: Settings):
    assert embedded(fake, "golden machines").verdict is Verdict.WARN
    record = fake.goldens_dir / "key" / "golden.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"memory": 4 << 30}))
    check = embedded(fake, "golden machines")
    assert (check.verdict, check.what) == (Verdict.OK, "for desktops with 4 GiB of memory")


def test_memories_of_another_qemu_are_a_warning(fake: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.accel, "qemu_release", lambda _: "10.1.0")
    assert embedded(fake, "kept memories").what == "none"
    for name, release in (("dsk_one", "10.1.0"), ("dsk_two", "10.0.2")):
        record = fake.desktops_dir / name / "hibernation" / "memory.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"qemu": release}))
    without_memory = fake.snapshots_dir / "snp_one" / "snapshot.json"
    without_memory.parent.mkdir(parents=True)
    without_memory.write_text("{}")
    check = embedded(fake, "kept memories")
    assert check.verdict is Verdict.WARN
    assert check.what == "1 of 2 are of another QEMU: 10.0.2"


def embedded(settings: Settings, name: str) -> Check:
    """The outcome of one check that concerns the embedded provider only."""
    return doctor._carried_out(name, doctor.EMBEDDED[name], settings)
