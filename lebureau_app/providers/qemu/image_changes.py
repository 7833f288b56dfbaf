"""Machines of QEMU go over to another golden image, or back."""

import asyncio

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Power, Upgrade
from lebureau_app.providers.qemu.mending import Mending
from lebureau_app.providers.qemu.upgrading import Course, Upgrading


class ImageChanges(Mending, Upgrade):
    """The ability of a provider to put machines on other images; the rest of it is another class."""

    async def change_image(self, desktop_id: str, ref: str, image: str) -> None:
        """Put a fresh overlay on the image in the disk's place, and the disk beside it."""
        async with self._proved(desktop_id, ref) as (machine, identity, hypervisor):
            self._require_whole(machine)
            if identity.image == image:
                return
            await self._require_changeable(machine, hypervisor, "put on another image")
            await hypervisor.end()
            async with self._chains:
                upgrading = Upgrading(machine, Course(image, former=identity.image))
                await upgrading.change_over(self._settings.images_dir.absolute())

    async def keep_image(self, desktop_id: str, ref: str) -> None:
        """Remove the former disk, which nothing is read from any more."""
        async with self._proved(desktop_id, ref) as (machine, _, hypervisor):
            if upgrading := Upgrading.under_way(machine):
                if (await self._whole(machine, hypervisor)).power is Power.RUNNING:
                    raise ProviderError(
                        "A running machine keeps its former disk.", hint="Stop it first."
                    )
                await hypervisor.end()
                await asyncio.to_thread(upgrading.finish)

    async def take_image_back(self, desktop_id: str, ref: str) -> str:
        """End QEMU, and put the former disk in the disk's place."""
        async with self._proved(desktop_id, ref) as (machine, _, hypervisor):
            if upgrading := Upgrading.under_way(machine):
                upgrading.turn_back()
                await self._end_change_of_image(upgrading, hypervisor)
            return machine.identity().image
