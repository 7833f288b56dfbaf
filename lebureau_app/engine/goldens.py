"""Makes golden machines: one for each tier in use, whose memory new desktops resume.

A golden machine is a machine like any other, of an id of our own. It is made while nothing else is
going on, used until everything in it is warm (`guest.warm`), and kept by the provider. Meanwhile
desktops boot. One that was left half made by a server that died is destroyed at the next start.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import asyncssh

from lebureau_app.engine.identity import HOST_KEY_FILE, host_key
from lebureau_app.errors import GuestError, LeBureauError, NotYet, ProviderError
from lebureau_app.guest import inject, ssh
from lebureau_app.guest.warm import warm
from lebureau_app.providers.base import Goldens, MachineSpec, Power, Provider
from lebureau_app.services import desktop_state, goldens, images, tiers
from lebureau_app.services import operations as journal
from lebureau_app.services.goldens import GoldenState
from lebureau_app.services.tiers import Tier
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
RETRIES = (60.0, 300.0, 900.0, 3600.0)
"""Seconds between attempts; the last one stays."""

LIMIT = 3600.0
"""Seconds that the making of one golden machine may take."""

_PREFIX = "golden-"
_SSH, _SCREEN, _TERMINAL = 22, 6080, 7681
_LOOK_AGAIN = 1.0
_QUIET = 2.0

Warmer = Callable[[str, str], AsyncGenerator[str | bytes, None]]
"""Uses the running machine of an id and identity until it is warm.

It yields sentences, what it is at, and may yield what is on the screen, as PNG."""


def is_golden(desktop_id: str) -> bool:
    """Whether a machine of this id is a golden one that is being made, and no desktop."""
    return desktop_id.startswith(_PREFIX)


class GoldenMaker:
    """Keeps a golden machine in place for the default tier, and for each that is in use.

    Args:
        provider: Where desktops run; it has the ability `Goldens`.
        warmer: Makes a booted machine warm.
        public_key: Our SSH public key, which every machine trusts.
    """

    def __init__(self, provider: Provider, warmer: Warmer, public_key: str) -> None:
        assert isinstance(provider, Goldens)
        self._provider = provider
        self._goldens: Goldens = provider
        self._warmer = warmer
        self._public_key = public_key
        self._states: dict[str, GoldenState] = {}
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        goldens.provide(self)

    def states(self) -> list[GoldenState]:
        """How each tier's is getting on, the default tier first."""
        return list(self._states.values())

    async def run(self) -> None:
        """Make what is missing, until cancelled."""
        while True:
            try:
                await self._destroy_leftovers()
                break
            except LeBureauError as error:
                log.warning("half made golden machines could not be looked for: %s", error.message)
                await asyncio.sleep(LOOK_EVERY)
        while True:
            try:
                await self.once()
            except LeBureauError as error:
                log.warning("golden machines: %s", error.message)
            except Exception:
                log.exception("golden machines could not be looked after")
            await asyncio.sleep(LOOK_EVERY)

    async def once(self) -> None:
        """Look at every tier, and make the first golden machine that can be made now."""
        image = await images.newest()
        if image is None:
            return
        wanted = {tiers.tiers()[0].id, *await desktop_state.tiers_in_use()}
        for tier in tiers.tiers():
            spec = self._spec(tier, image)
            state = await self._look(tier, spec, tier.id in wanted)
            await self._show(state)
            if state.status == "making":
                await self._make(tier, spec)

    async def _look(self, tier: Tier, spec: MachineSpec, wanted: bool) -> GoldenState:
        """How a tier's golden machine is; `making` where it is to be made now."""
        golden = await self._goldens.golden(spec)
        if golden:
            return GoldenState(tier.id, spec.image, "ready", size=golden.size)
        waiting = GoldenState(tier.id, spec.image, "waiting")
        if not wanted:
            return _with_words(waiting, "It is made when a first desktop of this size is created.")
        before = self._states.get(tier.id)
        too_soon = time.monotonic() < self._not_before.get(tier.id, 0.0)
        if before and before.status == "failed" and before.image == spec.image and too_soon:
            return before
        if await journal.busy_desktops():
            return _with_words(waiting, "It is made as soon as nothing else is going on.")
        try:
            await self._provider.check(spec)
        except LeBureauError as error:
            return _with_words(waiting, error.message)
        return _with_words(replace(waiting, status="making"), "Making the machine")

    async def _make(self, tier: Tier, spec: MachineSpec) -> None:
        """One attempt; whatever becomes of it, no machine is left over."""
        log.info("making the golden machine of tier %s", tier.id)
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                await self._make_and_keep(tier, spec)
        except (LeBureauError, OSError, asyncssh.Error) as error:
            await self._fail(tier, spec, str(error) or f"It took longer than {LIMIT:.0f} s.")
        else:
            log.info("golden machine of tier %s: %.0f s", tier.id, time.monotonic() - began)
            self._failures.pop(tier.id, None)
            await self._show(await self._look(tier, spec, wanted=True))
        finally:
            await self._destroy_leftovers()

    async def _make_and_keep(self, tier: Tier, spec: MachineSpec) -> None:
        ref = await self._provider.create(spec)
        await self._provider.start(spec.desktop_id, ref)
        picture = b""
        async with aclosing(self._warmer(spec.desktop_id, ref)) as told:
            async for said in told:
                if isinstance(said, bytes):
                    picture = said
                else:
                    await self._show(_with_words(self._states[tier.id], said))
        await self._show(_with_words(self._states[tier.id], "Keeping its memory"))
        await self._goldens.keep_golden(spec.desktop_id, ref, picture)

    async def _fail(self, tier: Tier, spec: MachineSpec, why: str) -> None:
        log.error("the golden machine of tier %s could not be made: %s", tier.id, why)
        failures = self._failures.get(tier.id, 0) + 1
        self._failures[tier.id] = failures
        pause = RETRIES[min(failures, len(RETRIES)) - 1]
        self._not_before[tier.id] = time.monotonic() + pause
        await self._show(GoldenState(tier.id, spec.image, "failed", error=why))

    async def _destroy_leftovers(self) -> None:
        for machine in await self._provider.inspect_all():
            if is_golden(machine.desktop_id):
                await self._destroyed(machine.desktop_id, machine.ref)

    async def _destroyed(self, desktop_id: str, ref: str) -> None:
        while True:
            try:
                return await self._provider.destroy(desktop_id, ref)
            except NotYet:
                await asyncio.sleep(_LOOK_AGAIN)

    async def _show(self, state: GoldenState) -> None:
        """Take a state, and tell every page where it is a new one."""
        if self._states.get(state.tier) == state:
            return
        self._states[state.tier] = state
        image = next((each for each in images.ready() if each.id == state.image), None)
        if image is not None:
            await images.announce(image)

    def _spec(self, tier: Tier, image: str) -> MachineSpec:
        return MachineSpec(
            desktop_id=f"{_PREFIX}{tier.id}",
            name=f"{_PREFIX}{tier.id}",
            image=image,
            vcpus=tier.vcpus,
            memory=tier.memory,
            disk=tier.disk,
            authorized_key=self._public_key,
            golden=True,
        )


class GuestWarmer:
    """Warms a real guest, over SSH.

    Args:
        provider: Where it runs.
        settings: For our SSH key, and what every guest trusts.
    """

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings

    async def __call__(self, desktop_id: str, ref: str) -> AsyncGenerator[str | bytes, None]:
        """Wait until the guest has booted, use it until it is warm, and leave it alone.

        Raises:
            GuestError: Something in the guest did not work.
            ProviderError: The machine went off.
        """
        yield "Booting"
        pinned = await self._host_key(desktop_id, ref)
        async with await self._connect(desktop_id, ref, pinned) as connection:
            told = warm(
                connection,
                screen=await self._provider.endpoint(desktop_id, ref, _SCREEN),
                terminal=await self._provider.endpoint(desktop_id, ref, _TERMINAL),
                ca=inject.extra_ca(self._settings),
            )
            async for said in told:
                yield said
        await asyncio.sleep(_QUIET)

    async def _host_key(self, desktop_id: str, ref: str) -> str:
        while True:
            machine = await self._provider.inspect(desktop_id, ref)
            if machine is None or machine.power in (Power.STOPPED, Power.FAILED):
                reason = machine.reason if machine else "the provider no longer has it"
                raise ProviderError(f"The golden machine went off: {reason}.")
            try:
                raw = await self._provider.read_guest_file(desktop_id, ref, HOST_KEY_FILE)
                return host_key(raw.decode("ascii", "replace"))
            except (NotYet, GuestError):
                await asyncio.sleep(_LOOK_AGAIN)

    async def _connect(
        self, desktop_id: str, ref: str, pinned: str
    ) -> asyncssh.SSHClientConnection:
        key = ssh.client_key(self._settings)
        endpoint = await self._provider.endpoint(desktop_id, ref, _SSH)
        while True:
            try:
                return await ssh.connect(endpoint.host, endpoint.port, pinned, key=key)
            except GuestError:
                await asyncio.sleep(_LOOK_AGAIN)


async def simulated_warmer(desktop_id: str, ref: str) -> AsyncGenerator[str | bytes, None]:
    """What warming is for a machine in which nothing runs."""
    yield "Booting"


def _with_words(state: GoldenState, message: str) -> GoldenState:
    progress = {"step": state.status, "percent": None, "message": message}
    return replace(state, progress=progress)
