"""The machines that carry desktops, and whether they can carry one more."""

from lebureau_app.errors import LeBureauError
from lebureau_app.providers.base import Host, MachineSpec, Provider
from lebureau_app.services.access import Caller
from lebureau_app.services.tiers import Tier

_provider: Provider | None = None


def provide(provider: Provider) -> None:
    """Give the services the provider; called once by the composition root."""
    global _provider
    _provider = provider


def provider() -> Provider:
    """The provider of this process."""
    if _provider is None:
        raise RuntimeError("no provider: the composition root calls hosts.provide()")
    return _provider


async def list_hosts(caller: Caller) -> list[Host]:
    """Every host, with what it has left."""
    caller.need_scope("read")
    return (await provider().capacity()).hosts


async def why_not(tier: Tier) -> str | None:
    """Why no host can carry a desktop of this tier now, or None where one can."""
    try:
        await check(_spec(tier))
    except LeBureauError as error:
        return error.message
    return None


async def check(spec: MachineSpec) -> None:
    """Refuse early what no host can carry.

    Raises:
        NoCapacity: With a sentence that says what is missing.
    """
    await provider().check(spec)


def _spec(tier: Tier) -> MachineSpec:
    return MachineSpec("", "", "", tier.vcpus, tier.memory, tier.disk, "")
