"""Memories and disks that are kept: real QEMU processes, tiny guests, real files."""

import asyncio
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lebureau_app.providers.qemu import memory, processes, tidying
from lebureau_app.providers.qemu.chain import layers
from lebureau_app.providers.qemu.machine import MachineFolder
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.providers.qemu.tidying import MOST_LAYERS
from tests.providers.qemu.conftest import DESKTOP
from tests.providers.qemu.dying import SNAPSHOT, born, spec
from tests.support.notebook import Letters, Notebook
from tests.support.tiny_guest import NOTEBOOK

GUEST = NOTEBOOK

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

CHILD = "dsk_01J00000000000000000000001"
MIB = 1 << 20


@pytest.fixture
def guest(folder: MachineFolder) -> Notebook:
    return Notebook(folder)


async def tidied(provider: QemuProvider) -> None:
    async with asyncio.timeout(60):
        while await provider.tidy():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def names(disk: Path) -> list[str]:
    """The folders of a disk and of all that it stands on."""
    return [layer.parent.name for layer in layers(disk)]


async def test_a_snapshot_pauses_its_machine_for_less_than_a_second(
    provider: QemuProvider, guest: Notebook, caplog: pytest.LogCaptureFixture
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    with caplog.at_level("INFO", "lebureau_app"):
        await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    paused = re.search(r"paused for ([\d.]+) s", caplog.text)
    assert paused
    assert 0 < float(paused[1]) < 1


async def test_a_guest_does_not_wait_until_its_memory_is_on_the_disk(
    provider: QemuProvider, home: Path, guest: Notebook
):
    """As it would on ext4, were the file cut to nothing before it is written."""
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    with (home / "snapshots" / SNAPSHOT / "memory").open("rb") as file:
        assert 0 < memory.HEAD <= os.lseek(file.fileno(), 0, os.SEEK_DATA)


async def test_a_guest_that_writes_faster_than_it_is_saved_is_halted_for_the_rest(
    provider: QemuProvider, guest: Notebook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "LIVE_SECONDS", 0.0)
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    assert await guest.read() == Letters("m", "d")


@pytest.mark.parametrize("verb", ["hibernate", "take_snapshot"])
async def test_a_verb_that_is_cancelled_lets_the_machine_go_on(
    provider: QemuProvider,
    folder: MachineFolder,
    guest: Notebook,
    verb: str,
    monkeypatch: pytest.MonkeyPatch,
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    reached = asyncio.Event()

    async def never(_: object) -> None:
        monkeypatch.undo()
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(memory.migration, "finish", never)
    snapshot = [SNAPSHOT] if verb == "take_snapshot" else []
    under_way = asyncio.create_task(getattr(provider, verb)(DESKTOP, ref, *snapshot))
    await asyncio.wait_for(reached.wait(), 30)
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert await guest.read() == Letters("m", "d")
    assert await provider.stored_snapshots() == []
    assert list(folder.path.glob("disk.*")) == [folder.disk]
    await getattr(provider, verb)(DESKTOP, ref, *snapshot)


async def test_what_is_kept_is_closed_to_others_and_names_its_qemu(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.hibernate(DESKTOP, ref)
    for place in (home / "snapshots" / SNAPSHOT, folder.hibernation):
        assert place.stat().st_mode & 0o077 == 0
        assert (place / "memory").stat().st_mode & 0o077 == 0
    accelerator = await provider.accelerator()
    for record in (
        home / "snapshots" / SNAPSHOT / "snapshot.json",
        folder.hibernation / "memory.json",
    ):
        kept = json.loads(record.read_text())
        assert kept["qemu"] == accelerator.release
        assert kept["accelerator"] == accelerator.name
        assert kept["machine_type"] == accelerator.machine_type
        assert kept["size"] > 0


@pytest.mark.parametrize("running", [True, False])
async def test_the_chain_of_a_machine_with_many_snapshots_stays_short(
    provider: QemuProvider,
    folder: MachineFolder,
    guest: Notebook,
    running: bool,
):
    ref = await born(provider, DESKTOP)
    letters = "abcdefg"
    for letter in letters:
        await guest.note(letter, letter)
        await provider.take_snapshot(DESKTOP, ref, f"snp_{letter}")
        if not running:
            await provider.stop(DESKTOP, ref, force=True)
        await tidied(provider)
        assert len(layers(folder.disk)) <= MOST_LAYERS + 1
        await provider.start(DESKTOP, ref)
    for letter in letters:
        await provider.stop(DESKTOP, ref, force=True)
        await provider.restore_snapshot(DESKTOP, ref, f"snp_{letter}")
        await provider.start(DESKTOP, ref)
        assert await guest.read() == Letters(letter, letter)


async def test_a_disk_takes_in_what_only_dropped_snapshots_have_left(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    for letter in "abc":
        await guest.note("m", letter)
        await provider.take_snapshot(DESKTOP, ref, f"snp_{letter}")
    await provider.drop_snapshot("snp_b")
    await tidied(provider)
    assert names(folder.disk) == [DESKTOP, "snp_c", "snp_b", "snp_a", "filling"]
    assert not (home / "snapshots/snp_b/memory").exists()
    await provider.drop_snapshot("snp_c")
    await tidied(provider)
    assert names(folder.disk) == [DESKTOP, "snp_a", "filling"]
    assert {entry.name for entry in (home / "snapshots").iterdir()} == {"snp_a"}
    assert await guest.read() == Letters("m", "c")
    await provider.hibernate(DESKTOP, ref)
    await provider.drop_snapshot("snp_a")
    await tidied(provider)
    assert names(folder.disk) == [DESKTOP, "filling"]
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "c")


async def test_what_parent_and_child_stand_on_stays_until_one_of_them_is_gone(
    provider: QemuProvider, home: Path, folder: MachineFolder, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    twin = await provider.create(replace(spec(CHILD), snapshot=SNAPSHOT))
    await provider.drop_snapshot(SNAPSHOT)
    await tidied(provider)
    assert (home / "snapshots" / SNAPSHOT / "memory").exists()
    await provider.start(CHILD, twin)
    await provider.settle(CHILD, twin)
    await tidied(provider)
    assert (home / "snapshots" / SNAPSHOT / "memory").exists()
    await provider.stop(CHILD, twin, force=True)
    await tidied(provider)
    assert not (home / "snapshots" / SNAPSHOT / "memory").exists()
    assert names(folder.disk) == [DESKTOP, SNAPSHOT, "filling"]
    await provider.destroy(CHILD, twin)
    await tidied(provider)
    assert names(folder.disk) == [DESKTOP, "filling"]
    assert list((home / "snapshots").iterdir()) == []
    assert await guest.read() == Letters("m", "d")


async def test_what_a_disk_is_taking_in_does_not_delay_a_snapshot(
    provider: QemuProvider, folder: MachineFolder, guest: Notebook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lebureau_app.providers.qemu.tidying._SPEED", 1)
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, "snp_a")
    await provider.drop_snapshot("snp_a")
    assert await provider.tidy()
    assert await provider.tidy()
    assert names(folder.disk) == [DESKTOP, "snp_a", "filling"]
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.hibernate(DESKTOP, ref)
    await provider.start(DESKTOP, ref)
    assert await guest.read() == Letters("m", "d")


async def test_a_disk_that_was_started_meanwhile_is_not_replaced(
    provider: QemuProvider, folder: MachineFolder, guest: Notebook, monkeypatch: pytest.MonkeyPatch
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await provider.drop_snapshot(SNAPSHOT)
    await provider.stop(DESKTOP, ref, force=True)
    put_on = tidying.put_on

    async def put_on_late(disk: Path, ground: Path) -> None:
        await put_on(disk, ground)
        await provider.start(DESKTOP, ref)
        await guest.note("n", "e")

    monkeypatch.setattr(tidying, "put_on", put_on_late)
    assert await provider.tidy()
    assert names(folder.disk) == [DESKTOP, SNAPSHOT, "filling"]
    assert not (folder.path / "disk.copy").exists()
    assert await guest.read() == Letters("n", "e")


async def test_what_a_desktop_occupies_includes_what_dropped_snapshots_have_left_it(
    provider: QemuProvider, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    before = await provider.storage(DESKTOP, ref)
    await provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    kept = await provider.storage(DESKTOP, ref)
    await provider.drop_snapshot(SNAPSHOT)
    left = await provider.storage(DESKTOP, ref)
    assert left.disk > kept.disk
    assert left.disk >= before.disk


async def test_the_most_that_a_memory_takes_is_what_qemu_holds(
    provider: QemuProvider, home: Path, guest: Notebook
):
    ref = await born(provider, DESKTOP)
    await guest.note("m", "d")
    assert 0 < memory.most_to_save(ref, 64 * MIB) <= 64 * MIB
    assert memory.most_to_save(ref, 1 << 40) < 1 << 40
    await asyncio.to_thread(processes.kill, ref)
    assert memory.most_to_save(ref, 64 * MIB) == 64 * MIB
