"""How the qemu provider makes golden machines, finds them and gets rid of them."""

import asyncio
from abc import abstractmethod
from contextlib import AbstractAsyncContextManager, suppress

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Golden, Goldens, MachineSpec
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.disk import name_backing
from lebureau_app.providers.qemu.golden import GoldenFolder, GoldenShelf, fingerprint
from lebureau_app.providers.qemu.hypervisor import Hypervisor
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.machine import Identity, MachineFolder
from lebureau_app.settings import Settings


class GoldenMachines(Goldens):
    """The ability of a provider to let new machines resume golden ones; the rest is elsewhere."""

    _settings: Settings
    _shelf: GoldenShelf
    _chains: asyncio.Lock
    """Held by whoever puts a disk on a golden machine's, or removes a golden machine's."""

    @abstractmethod
    def _proved(
        self, desktop_id: str, ref: str
    ) -> AbstractAsyncContextManager[tuple[MachineFolder, Identity, Hypervisor]]: ...

    @abstractmethod
    async def hibernate(self, desktop_id: str, ref: str) -> None:
        """Keep the machine's memory in its folder, and end it; one that is hibernated stays so."""

    @abstractmethod
    async def accelerator(self) -> Accelerator:
        """How guests run here."""

    @abstractmethod
    def _image(self, image_id: str) -> Image: ...

    async def golden(self, spec: MachineSpec) -> Golden | None:
        """The golden machine of this image and size for this QEMU, its files checked."""
        folder = await self._golden_folder(spec)
        return folder.described() if folder else None

    async def goldens(self) -> list[Golden]:
        """Every golden machine that this QEMU can resume."""
        described = [folder.described() for folder in await self._usable_goldens()]
        return [golden for golden in described if golden]

    async def keep_golden(self, desktop_id: str, ref: str, picture: bytes = b"") -> Golden:
        """Hibernate the machine, and let its memory and disk be a golden machine's.

        Raises:
            ProviderError: It was not made for this, or does not run.
        """
        async with self._proved(desktop_id, ref) as (_, identity, _):
            golden = await asyncio.to_thread(self._shelf.kept, identity)
            if not identity.golden:
                raise ProviderError("This machine was not made to become a golden one.")
        if golden is None:
            await self.hibernate(desktop_id, ref)
        async with self._proved(desktop_id, ref) as (machine, identity, _):
            if golden is None:
                image = self._image(identity.image)
                key = fingerprint(identity, image, await self.accelerator())
                place = self._shelf.place / machine.desktop_id
                await name_backing(machine.disk, image.disk, place)
                golden = await asyncio.to_thread(self._shelf.keep, machine, identity, key, picture)
            await asyncio.to_thread(machine.remove)
            return golden

    async def golden_picture(self, golden: Golden) -> bytes:
        """What was on its screen when it was kept, as PNG; may be empty."""
        folder = await asyncio.to_thread(self._shelf.find, golden.key)
        return await asyncio.to_thread(folder.picture) if folder else b""

    async def sweep_goldens(self) -> None:
        """Remove the golden machines of other images and of other QEMUs.

        Their disks stay as long as the disk of a machine or of a snapshot stands on them.
        """
        async with self._chains:
            await asyncio.to_thread(self._shelf.sweep, await self._usable_goldens())

    async def _golden_folder(self, spec: MachineSpec) -> GoldenFolder | None:
        """The golden machine that is checked and fits, where machines are to be resumed at all."""
        if not self._settings.resume:
            return None
        key = fingerprint(spec, self._image(spec.image), await self.accelerator())
        folder = await asyncio.to_thread(self._shelf.find, key)
        return folder if folder and await self._shelf.proved(folder) else None

    async def _usable_goldens(self) -> list[GoldenFolder]:
        """Every golden machine whose image is still there, and that this QEMU can resume."""
        usable: list[GoldenFolder] = []
        for folder in await asyncio.to_thread(self._shelf.folders):
            if golden := folder.described():
                with suppress(ProviderError):
                    image, accelerator = self._image(golden.image), await self.accelerator()
                    if golden.key == fingerprint(golden, image, accelerator):
                        usable.append(folder)
        return usable

    async def _check_goldens(self) -> None:
        """Read every golden machine that may be used, so that the first who wants one need not."""
        for folder in await self._usable_goldens():
            await self._shelf.proved(folder)
