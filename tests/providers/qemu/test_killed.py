"""The server is killed (`kill -9`) at each step of making, resuming and keeping a machine.

Whatever the step, the next one goes on: one machine, one process, nothing beside them.
"""

import shutil
from pathlib import Path

import pytest

from lebureau_app.providers.base import Golden, Machine, Origin, Power
from lebureau_app.providers.qemu.provider import QemuProvider
from tests.providers.qemu.conftest import DESKTOP, running, says
from tests.providers.qemu.dying import born, kept, killed, spec
from tests.support.tiny_guest import FILLING

GUEST = FILLING

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

MAKER = "dsk_maker"


@pytest.fixture
async def golden(provider: QemuProvider) -> Golden:
    there = await provider.golden(spec(DESKTOP))
    if there is None:
        await kept(provider, MAKER)
        there = await provider.golden(spec(DESKTOP))
    assert there is not None
    return there


async def only_machine(provider: QemuProvider, home: Path) -> Machine:
    """The one machine there is, with the one process there is."""
    (machine,) = await provider.inspect_all()
    assert len(running(home)) == 1
    assert {entry.name for entry in (home / "desktops").iterdir()} == {DESKTOP}
    assert {entry.name for entry in (home / "run").iterdir()} == {DESKTOP}
    return machine


@pytest.mark.parametrize(
    "step",
    [
        "provider.make_overlay-",
        "provider.make_overlay+",
        "machine.MachineFolder.write_pending+",
        "machine.MachineFolder.write_identity+",
        "hypervisor.Hypervisor.observe+",
        "birth.Births.beginning+",
        "machine.MachineFolder.write_boot+",
        "hypervisor.processes.spawn+",
        "hypervisor.migration.prepare+",
        "hypervisor.migration.load+",
        "hypervisor.Hypervisor.resume+",
    ],
)
async def test_killed_while_a_desktop_is_born(
    golden: Golden, provider: QemuProvider, home: Path, step: str
):
    await killed(home, "born", step)
    await provider.open()
    await provider.inspect_all()
    ref = await born(provider, DESKTOP)
    machine = await only_machine(provider, home)
    assert (machine.power, machine.origin, machine.note) == (Power.RUNNING, Origin.GOLDEN, "")
    await provider.stop(DESKTOP, ref)
    await says(provider, DESKTOP, ref, "F")


@pytest.mark.parametrize(
    "step",
    [
        "birth.Births.give_up_memory-",
        "birth.make_overlay+",
        "machine.MachineFolder.drop_pending-",
        "machine.MachineFolder.drop_pending+",
    ],
)
async def test_killed_while_a_newborn_is_sent_down_the_slow_road(
    golden: Golden, provider: QemuProvider, home: Path, step: str
):
    await killed(home, "booted", step)
    await provider.open()
    ref = await provider.create(spec(DESKTOP))
    await provider.start(DESKTOP, ref, cold=True)
    machine = await only_machine(provider, home)
    assert (machine.power, machine.origin) == (Power.RUNNING, Origin.BOOT)


@pytest.mark.parametrize(
    "step", ["machine.MachineFolder.drop_pending-", "machine.MachineFolder.drop_pending+"]
)
async def test_killed_while_a_desktop_is_settled(
    golden: Golden, provider: QemuProvider, home: Path, step: str
):
    await killed(home, "settled", step)
    await provider.open()
    machine = await only_machine(provider, home)
    assert (machine.power, machine.settled) == (Power.RUNNING, False)
    await provider.settle(DESKTOP, machine.ref)
    assert (await only_machine(provider, home)).settled


@pytest.mark.parametrize(
    "step",
    [
        "memory.save-",
        "memory.save+",
        "keeping.hibernation.keep_memory+",
        "hypervisor.processes.wait_gone+",
        "goldens.name_backing+",
        "golden._digest+",
        "golden.GoldenFolder.appear-",
        "golden.GoldenFolder.appear+",
        "machine.MachineFolder.remove+",
    ],
)
async def test_killed_while_a_golden_machine_is_kept(provider: QemuProvider, home: Path, step: str):
    for folder in (home / "goldens").iterdir():
        shutil.rmtree(folder)
    await killed(home, "kept", step, MAKER)
    await provider.open()
    for machine in await provider.inspect_all():
        if machine.power is Power.FAILED:
            await provider.destroy(MAKER, machine.ref)
        else:
            await provider.keep_golden(MAKER, machine.ref)
    if await provider.golden(spec(DESKTOP)) is None:
        await kept(provider, MAKER)
    assert running(home) == []
    assert len(list((home / "goldens").iterdir())) == 1
    await born(provider, DESKTOP)
    assert (await only_machine(provider, home)).origin is Origin.GOLDEN
