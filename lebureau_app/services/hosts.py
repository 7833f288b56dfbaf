"""The machines that carry desktops, and whether they can carry one more."""

from dataclasses import replace

from lebureau_app.errors import Conflict, LeBureauError, NoCapacity
from lebureau_app.providers.base import Host, MachineSpec, Provider
from lebureau_app.services.access import Caller
from lebureau_app.services.tiers import Tier

DISK_RESERVE = 1 << 30
"""Bytes that a host keeps free for the desktops that it carries."""

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


async def check(spec: MachineSpec, count: int = 1) -> None:
    """Refuse early what no host can carry: `count` desktops of one size.

    Raises:
        NoCapacity: With a sentence that says what is missing.
    """
    if count == 1:
        return await provider().check(spec)
    try:
        await provider().check(replace(spec, memory=spec.memory * count, disk=spec.disk * count))
    except NoCapacity as error:
        raise NoCapacity(
            f"There is no room for {count} more desktops of this size. {error.message}",
            hint="Make fewer of them, or stop or destroy others first.",
        ) from error


async def check_disk(size: int) -> None:
    """Refuse early what no host has the disk for.

    Args:
        size: Bytes that may be needed at most.

    Raises:
        NoCapacity: No host has them; the sentence says how much there is.
    """
    capacity = await provider().capacity()
    free = max((host.disk_free for host in capacity.hosts if host.online), default=0)
    if size + DISK_RESERVE > free:
        raise NoCapacity(
            f"This may need {_gigabytes(size)} of disk beside the {_gigabytes(DISK_RESERVE)} that "
            f"stay free, and the host has {_gigabytes(free)}.",
            hint="Delete snapshots or destroy a desktop, then try again.",
        )


def need(ability: type, what: str) -> None:
    """Refuse what this provider cannot do.

    Args:
        ability: One of the abilities of `providers.base`.
        what: What was asked for, for a person: `hibernate`, `take snapshots` …

    Raises:
        Conflict: The provider does not have the ability.
    """
    if not isinstance(provider(), ability):
        raise Conflict(
            f"Desktops of the provider {provider().name} cannot {what}.",
            hint="Stop the desktop instead; its disk is kept.",
        )


def _spec(tier: Tier) -> MachineSpec:
    return MachineSpec("", "", "", tier.vcpus, tier.memory, tier.disk, "")


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"
