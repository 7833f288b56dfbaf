"""The link to a real guest: identity, lights and chat over one SSH connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncssh

from lebureau_app.engine.chat import Chat
from lebureau_app.engine.identity import Identities
from lebureau_app.engine.links import Link
from lebureau_app.engine.way_out import WayOut, way_out
from lebureau_app.errors import ChannelNotReady, GuestError, LeBureauError
from lebureau_app.guest import screen, ssh, terminals
from lebureau_app.guest.device import Device
from lebureau_app.guest.door import Door, probe_terminal, probe_terminal_gently
from lebureau_app.guest.openclaw import OpenClaw, until_reloaded
from lebureau_app.guest.ssh import Completed
from lebureau_app.models import Desktop, Light
from lebureau_app.providers.base import Endpoint, Origin, Provider
from lebureau_app.services import conversations, desktop_state
from lebureau_app.settings import Settings

log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[None]]

PORTS = {"ssh": 22, "screen": 6080, "terminal": 7681}
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
PROBE_AGAIN = 1.0
LOOK_AGAIN = 60.0
TAKEOVER = 30.0
"""Seconds that the agent of a new copy is left alone at most. It does not know its own token at first,
and to refuse ours costs it seconds of what it needs to learn it."""


class GuestLink(Link):
    """Connects, hands over the identity, lights the lights and serves the chat; again and again."""

    def __init__(
        self, desktop_id: str, provider: Provider, identities: Identities, settings: Settings
    ) -> None:
        super().__init__(desktop_id)
        self._provider = provider
        self._identities = identities
        self._settings = settings
        self._connection: asyncssh.SSHClientConnection | None = None
        self._keys_changed = asyncio.Event()
        self._agent: OpenClaw | None = None
        self._way = WayOut()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        delay = FIRST_DELAY
        while True:
            try:
                async with way_out(await self._load(), self._provider, self._settings) as self._way:
                    await self._one_connection()
            except* (LeBureauError, OSError, asyncssh.Error, TimeoutError) as group:
                await self._lost(_first(group))
            except* Exception as group:
                log.exception("link to %s broke", self.desktop_id)
                await self._lost(_first(group))
            was_up = self.identified.is_set()
            self.identified.clear()
            self._connection = None
            delay = FIRST_DELAY if was_up else min(delay * 1.5, LONGEST_DELAY)
            await asyncio.sleep(delay)

    def keys_changed(self) -> None:
        """Bring the desktop's provider keys into the guest again."""
        self._keys_changed.set()

    async def command(self, command: str, timeout: float) -> Completed:
        """Run a command as user `agent` in its home."""
        return await ssh.run(self._connected(), command, timeout=timeout)

    async def at_work(self) -> bool:
        """Whether a command runs in a terminal of the desktop."""
        return await terminals.at_work(self._connected())

    async def screenshot(self, width: int | None) -> bytes:
        """The screen now, as PNG."""
        return await screen.screenshot(await self.door("screen"), width)

    async def door(self, channel: str) -> Door:
        """The way to the guest's `screen` or `terminal`."""
        desktop = await self._load()
        endpoint = await self._endpoint(desktop, channel)
        return Door(endpoint.host, endpoint.port, desktop_state.secrets_of(desktop).door)

    async def _one_connection(self) -> None:
        """Serve until something breaks. A guest that has its identity opens its doors at once."""
        desktop = await self._load()
        knows_us = desktop.identified == desktop.boot
        async with asyncio.TaskGroup() as group:
            group.create_task(self._over_ssh(desktop, with_doors=not knows_us))
            if knows_us:
                self._watch_doors(group)

    def _watch_doors(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._watch_screen())
        group.create_task(self._watch_terminal())

    async def _over_ssh(self, desktop: Desktop, *, with_doors: bool) -> None:
        endpoint = await self._endpoint(desktop, "ssh")
        key = ssh.client_key(self._settings)
        async with await ssh.connect(
            endpoint.host, endpoint.port, desktop.host_key, key=key
        ) as connection:
            just_given = await self._identities.hand_over(connection, desktop)
            self._connection = connection
            self.identified.set()
            await desktop_state.set_lights(self.desktop_id, ("machine", "ssh"), Light.READY)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_end(connection))
                group.create_task(self._watch_keys(connection))
                group.create_task(self._serve_agent(connection, takes_over=just_given))
                if with_doors:
                    self._watch_doors(group)

    async def _watch_end(self, connection: asyncssh.SSHClientConnection) -> None:
        await connection.wait_closed()
        raise GuestError("The SSH connection to the desktop ended.")

    async def _watch_keys(self, connection: asyncssh.SSHClientConnection) -> None:
        while True:
            await self._keys_changed.wait()
            self._keys_changed.clear()
            desktop = await self._load()
            await self._way.refresh(desktop)
            await self._identities.hand_over(connection, desktop)
            if self._agent:
                with suppress(LeBureauError):
                    await self._agent.reload_secrets()

    async def _watch_screen(self) -> None:
        async def probe() -> None:
            if not await screen.is_drawn(await self.door("screen")):
                raise ChannelNotReady("The desktop is not drawn yet.")

        await self._watch("screen", probe)

    async def _watch_terminal(self) -> None:
        async def probe() -> None:
            await probe_terminal(await self.door("terminal"))

        async def probe_again() -> None:
            await probe_terminal_gently(await self.door("terminal"))

        await self._watch("terminal", probe, probe_again)

    async def _watch(self, channel: str, probe: Probe, probe_again: Probe | None = None) -> None:
        """Use a channel until it works, and look again from time to time whether it still does."""
        was_ready = False
        while True:
            try:
                await (probe_again if was_ready and probe_again else probe)()
            except (LeBureauError, OSError) as error:
                state = Light.FAILED if was_ready else Light.STARTING
                await desktop_state.set_lights(self.desktop_id, [channel], state, str(error))
                await asyncio.sleep(PROBE_AGAIN)
            else:
                was_ready = True
                await desktop_state.set_lights(self.desktop_id, [channel], Light.READY)
                await asyncio.sleep(LOOK_AGAIN)

    async def _serve_agent(
        self, connection: asyncssh.SSHClientConnection, *, takes_over: bool
    ) -> None:
        desktop = await self._load()
        if desktop.agent == "none":
            await self._light_agent(Light.OFF, "This desktop was made without an agent.")
            return
        secrets = desktop_state.secrets_of(desktop)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._light_agent(Light.STARTING, "The agent is starting.")
        if takes_over and await self._has_to_reload(desktop):
            await until_reloaded(connection, TAKEOVER)
        while True:
            try:
                async with await OpenClaw.connect(
                    connection,
                    token=secrets.gateway_token,
                    device=Device(bytes.fromhex(secrets.device_key)),
                ) as agent:
                    self._agent = agent
                    await self._end_inherited_runs(agent)
                    await self._light_agent(Light.READY)
                    await Chat(self.desktop_id, agent, self.woken).serve()
            except (LeBureauError, OSError) as error:
                if self._agent:
                    began = loop.time()
                late = loop.time() - began > self._settings.agent_timeout
                await self._light_agent(Light.FAILED if late else Light.STARTING, str(error))
            finally:
                self._agent = None
            await asyncio.sleep(PROBE_AGAIN)

    async def _has_to_reload(self, desktop: Desktop) -> bool:
        """Whether its agent has another configuration than what it was copied from.

        A golden machine has no provider keys; a fork and a snapshot have those of their workspace.
        """
        keys = await desktop_state.provider_keys_of(desktop)
        return desktop.origin == Origin.GOLDEN and bool(keys)

    async def _end_inherited_runs(self, agent: OpenClaw) -> None:
        """Stop what the agent was at when it was copied, or as it was in the snapshot.

        A run of its own that is under way tells that this has been done before.
        """
        desktop = await self._load()
        inherits = desktop.origin in (Origin.FORK, Origin.SNAPSHOT)
        if inherits and await conversations.under_way(desktop.id) is None:
            await agent.abort_all()

    async def _light_agent(self, state: Light, reason: str = "") -> None:
        await desktop_state.set_lights(self.desktop_id, ["agent"], state, reason)

    async def _lost(self, error: BaseException) -> None:
        log.info("link to %s: %s", self.desktop_id, error)
        state = Light.FAILED if self.identified.is_set() else Light.STARTING
        channels = ("ssh", "screen", "terminal", "agent")
        await desktop_state.set_lights(self.desktop_id, channels, state, str(error))

    def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection is None:
            raise ChannelNotReady("The desktop does not answer over SSH yet.")
        return self._connection

    async def _load(self) -> Desktop:
        desktop = await desktop_state.load(self.desktop_id)
        if desktop is None or not desktop.secrets:
            raise GuestError("This desktop is gone.")
        return desktop

    async def _endpoint(self, desktop: Desktop, channel: str) -> Endpoint:
        return await self._provider.endpoint(desktop.id, desktop.ref, PORTS[channel])


def _first(group: BaseExceptionGroup) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
