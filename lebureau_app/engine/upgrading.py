"""Steps that put a desktop, which is stopped, on another image and carry over what is its own."""

import asyncio
from contextlib import suppress
from typing import Any

from lebureau_app.engine.stopping import is_off
from lebureau_app.engine.work import Work
from lebureau_app.errors import Conflict, NotYet, ProviderError, UnknownMachine
from lebureau_app.models import Status
from lebureau_app.providers.base import CARRIED, Power, Upgrade
from lebureau_app.services import desktop_state, operations

DONE = "ok"
POWER_OFF = ("/usr/bin/systemctl", "--no-block", "poweroff")
POWER_OFF_SECONDS = 10.0

TAKE_BACK_SECONDS = 60.0
_POLL = 0.5


async def change_image(work: Work) -> None:
    """Put the machine on the image that is wanted, with its former disk beside it."""
    wanted = work.operation.params["wanted"]
    await desktop_state.note(work.desktop.id, **wanted)
    await work.able(Upgrade).change_image(*work.machine, wanted["image"])


async def boot_once(work: Work) -> None:
    """Start the machine, for its guest to carry over what is its own; nobody else uses it yet."""
    await work.provider.start(*work.machine)


async def carry_over(work: Work) -> None:
    """Wait until the guest tells, over the hypervisor's own channel, that it has carried it over.

    Raises:
        Conflict: It could not.
    """
    machine = await work.inspect()
    if machine is None or machine.power in (Power.STOPPED, Power.FAILED):
        reason = machine.reason if machine else "the provider no longer has it"
        raise ProviderError(f"The machine went off on its new image: {reason}")
    try:
        raw = await work.provider.read_guest_file(*work.machine, CARRIED)
    except NotYet as error:
        raise NotYet("Carrying its home folder over to the new image") from error
    told = raw.decode("utf-8", "replace").strip()
    if told != DONE:
        raise Conflict(
            f"Its home folder could not be carried over to the new image: {told}",
            hint="The desktop is on its former image, as it was. Mend what is said, and try again.",
        )


async def power_off(work: Work) -> None:
    """Have the guest shut down, which may be too young to notice its power button."""
    if await is_off(work):
        return
    if work.first:
        with suppress(NotYet):
            await work.provider.run_in_guest(*work.machine, POWER_OFF, timeout=POWER_OFF_SECONDS)
        await work.provider.stop(*work.machine)
    raise NotYet("Waiting for the desktop to shut down.")


async def keep_image(work: Work) -> None:
    """Let go of the former disk: the desktop is on its new image."""
    await work.able(Upgrade).keep_image(*work.machine)


async def take_image_back(work: Work) -> dict[str, Any]:
    """Put a desktop whose upgrade has ended badly on its former image.

    If the upgrade is tried again, it begins anew. A desktop that is to be destroyed is spared that.

    Returns:
        The columns of the desktop.

    Raises:
        TimeoutError: It could not be done in time, and is to be tried again.
    """
    if work.desktop.desired_status == Status.DESTROYED:
        return {}
    image = await _former_image(work)
    await operations.record(work.operation, step="")
    return {"image": image}


async def _former_image(work: Work) -> str:
    provider = work.able(Upgrade)
    async with asyncio.timeout(TAKE_BACK_SECONDS):
        while True:
            try:
                return await provider.take_image_back(*work.machine)
            except UnknownMachine:
                return work.operation.params["before"]["image"]
            except NotYet:
                await asyncio.sleep(_POLL)
