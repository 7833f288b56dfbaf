"""What every provider promises about machines that go over to another image: one suite for all."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Origin, Power
from tests.contract.labs import DESKTOP, MIB, FakeLab, Lab
from tests.support.notebook import Letters
from tests.support.tiny_guest import IMAGE, NEWER_IMAGE

SNAPSHOT = "snp_01J00000000000000000000000"
THEIRS = Letters("-", "d")
EMPTY = Letters("-", "-")

REFUSED: dict[str, Callable[[Lab, str], Awaitable[object]]] = {
    "hibernate": lambda lab, ref: lab.provider.hibernate(DESKTOP, ref),
    "snapshot": lambda lab, ref: lab.provider.take_snapshot(DESKTOP, ref, "snp_other"),
}
REFUSED_WHEN_OFF: dict[str, Callable[[Lab, str], Awaitable[object]]] = {
    "snapshot": REFUSED["snapshot"],
    "restore": lambda lab, ref: lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT),
    "resize": lambda lab, ref: lab.provider.resize(
        DESKTOP, ref, vcpus=1, memory=64 * MIB, disk=128 * MIB
    ),
    "another": lambda lab, ref: lab.provider.change_image(DESKTOP, ref, IMAGE),
}


@pytest.fixture(autouse=True)
def guests_that_carry_nothing_over(lab: Lab) -> None:
    """A tiny guest cannot; what a simulated one does is tested elsewhere."""
    if isinstance(lab, FakeLab):
        lab.fake.behaviour = replace(lab.fake.behaviour, carried="")


async def off(lab: Lab, ref: str) -> None:
    await lab.provider.stop(DESKTOP, ref, force=True)


async def noted(lab: Lab) -> str:
    """A machine that is off, and has a letter on its disk."""
    ref = await lab.running()
    await lab.note("m", "d")
    await off(lab, ref)
    return ref


async def changed(lab: Lab) -> str:
    """That machine, on its way to the newer image."""
    ref = await noted(lab)
    await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    return ref


async def started(lab: Lab, ref: str) -> Letters:
    await lab.provider.start(DESKTOP, ref)
    assert (await lab.seen(ref)).origin is Origin.BOOT
    return await lab.read()


async def test_a_machine_on_another_image_begins_as_that_does(lab: Lab):
    ref = await changed(lab)
    assert ((await lab.seen(ref)).power, lab.image()) == (Power.STOPPED, NEWER_IMAGE)
    assert await started(lab, ref) == EMPTY


async def test_what_it_writes_there_is_kept(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    await lab.note("n", "e")
    await off(lab, ref)
    for _ in range(2):
        await lab.provider.keep_image(DESKTOP, ref)
    assert await started(lab, ref) == Letters("-", "e")
    assert lab.image() == NEWER_IMAGE
    assert (await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)).memory


async def test_an_image_is_taken_back_from_a_running_machine(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    await lab.note("n", "e")
    for _ in range(2):
        await lab.provider.take_image_back(DESKTOP, ref)
    assert ((await lab.seen(ref)).power, lab.image()) == (Power.STOPPED, IMAGE)
    assert await started(lab, ref) == THEIRS


async def test_an_image_is_taken_back_before_the_machine_ran(lab: Lab):
    ref = await changed(lab)
    await lab.provider.take_image_back(DESKTOP, ref)
    assert await started(lab, ref) == THEIRS


async def test_changing_again_changes_nothing(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    await lab.note("n", "e")
    await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    assert await lab.read() == Letters("n", "e")


async def test_the_image_that_it_has_changes_nothing(lab: Lab):
    ref = await noted(lab)
    await lab.provider.change_image(DESKTOP, ref, IMAGE)
    await lab.provider.keep_image(DESKTOP, ref)
    await lab.provider.take_image_back(DESKTOP, ref)
    assert await started(lab, ref) == THEIRS


async def test_only_a_machine_that_is_off_changes_its_image(lab: Lab):
    ref = await lab.running()
    await lab.note("m", "d")
    with pytest.raises(ProviderError, match="running"):
        await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    await lab.provider.hibernate(DESKTOP, ref)
    with pytest.raises(ProviderError, match="waits to be resumed"):
        await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    await lab.provider.start(DESKTOP, ref)
    assert await lab.read() == Letters("m", "d")


async def test_a_running_machine_keeps_its_former_disk(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    with pytest.raises(ProviderError, match="running"):
        await lab.provider.keep_image(DESKTOP, ref)
    await lab.provider.take_image_back(DESKTOP, ref)
    assert await started(lab, ref) == THEIRS


@pytest.mark.parametrize("verb", REFUSED)
async def test_a_running_machine_on_its_way_is_not_kept(lab: Lab, verb: str):
    ref = await changed(lab)
    await started(lab, ref)
    with pytest.raises(ProviderError, match="being upgraded"):
        await REFUSED[verb](lab, ref)
    assert (await lab.seen(ref)).power is Power.RUNNING


@pytest.mark.parametrize("verb", REFUSED_WHEN_OFF)
async def test_a_machine_on_its_way_is_neither_kept_nor_changed(lab: Lab, verb: str):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    with pytest.raises(ProviderError, match="being upgraded"):
        await REFUSED_WHEN_OFF[verb](lab, ref)
    await lab.provider.take_image_back(DESKTOP, ref)
    assert await started(lab, ref) == THEIRS


async def test_a_snapshot_brings_the_image_back(lab: Lab):
    ref = await noted(lab)
    await lab.provider.take_snapshot(DESKTOP, ref, SNAPSHOT)
    await lab.provider.change_image(DESKTOP, ref, NEWER_IMAGE)
    await started(lab, ref)
    await off(lab, ref)
    await lab.provider.keep_image(DESKTOP, ref)
    await lab.provider.restore_snapshot(DESKTOP, ref, SNAPSHOT)
    assert lab.image() == IMAGE
    assert await started(lab, ref) == THEIRS


async def test_a_machine_on_its_way_outlives_the_server(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    await lab.note("n", "e")
    await lab.server_restart()
    assert await lab.read() == Letters("n", "e")
    await lab.provider.take_image_back(DESKTOP, ref)
    await lab.server_restart()
    assert await started(lab, ref) == THEIRS


async def test_a_machine_on_its_way_is_destroyed_without_a_trace(lab: Lab):
    ref = await changed(lab)
    await started(lab, ref)
    await lab.provider.destroy(DESKTOP, ref)
    assert lab.traces(ref) == []
