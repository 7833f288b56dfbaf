"""A running desktop's way out: its egress proxy, open for as long as there is a link to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lebureau_app.gateway.egress import AllowedTarget, EgressLog, EgressPolicy, EgressProxy
from lebureau_app.models import Desktop
from lebureau_app.providers.base import Egress, Provider
from lebureau_app.services import desktop_state
from lebureau_app.settings import Settings


class WayOut:
    """The policy of one desktop's proxy, kept up to date by `refresh`."""

    def __init__(self) -> None:
        self._policy = EgressPolicy()

    def policy(self) -> EgressPolicy:
        """The policy that holds now."""
        return self._policy

    async def refresh(self, desktop: Desktop) -> None:
        """Allow exactly what the base URLs of the desktop's provider keys need, beside `public`."""
        keys = await desktop_state.provider_keys_of(desktop)
        self._policy = EgressPolicy(
            AllowedTarget.from_url(key.base_url, private=key.private)
            for key in keys
            if key.base_url
        )


@asynccontextmanager
async def way_out(
    desktop: Desktop, provider: Provider, settings: Settings
) -> AsyncIterator[WayOut]:
    """Hold a desktop's way out open for the length of the block.

    A provider whose desktops have a network of their own needs none.
    """
    way = WayOut()
    await way.refresh(desktop)
    if not isinstance(provider, Egress):
        yield way
        return
    log = EgressLog(settings.desktops_dir / desktop.id / "egress.log")
    proxy = EgressProxy(desktop.id, provider.egress_socket(desktop.id), way.policy, log)
    await proxy.start()
    try:
        yield way
    finally:
        await proxy.close()
        log.close()
