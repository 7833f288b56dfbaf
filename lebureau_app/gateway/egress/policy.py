"""Where a desktop may connect: decided for a name and a port, and again for each address.

Nothing here touches the network. Policies with lists of domains belong into `EgressPolicy.decide`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from lebureau_app.gateway.egress.addresses import Kind, kind_of

HOST_NAME = "host.lebureau.internal"
"""What a desktop calls the machine that Le Bureau runs on."""

OPEN_PORTS = (22, 80, 443)

_HOST_ADDRESS = "127.0.0.1"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AllowedTarget:
    """One host and port that a desktop reaches because a provider key of its own names it.

    Attributes:
        host: `HOST_NAME`, a name or an address; private ones too.
        port: The one port.
        private: Whether a name may lead to private addresses; false where whoever gave the key
            may not send desktops into the private network.
    """

    host: str
    port: int
    private: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", normal_host(self.host))

    @classmethod
    def from_url(cls, base_url: str, *, private: bool = True) -> "AllowedTarget":
        """The target of a base URL; `localhost` there is the machine that Le Bureau runs on.

        Raises:
            ValueError: This is no http or https URL with a host.
        """
        url = urlsplit(base_url)
        if url.scheme not in _DEFAULT_PORTS or not url.hostname:
            raise ValueError(f"not an http or https URL: {base_url!r}")
        host = normal_host(url.hostname)
        if host in ("localhost", _HOST_ADDRESS, "::1"):
            host = HOST_NAME
        return cls(host, url.port or _DEFAULT_PORTS[url.scheme], private)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says about a name and a port.

    Attributes:
        allowed: Whether to go on at all.
        reason: Why, in a part of a sentence.
        advice: What the agent can do about a refusal.
        kinds: The kinds of addresses that the name may lead to.
        address: Where the connection goes without any resolving; None where the name is resolved.
    """

    allowed: bool
    reason: str
    advice: str = ""
    kinds: frozenset[Kind] = frozenset()
    address: str | None = None

    def admits(self, address: str) -> bool:
        """Whether a connection may go to this address of the name."""
        return kind_of(address) in self.kinds


class EgressPolicy:
    """The policy `public`: public addresses on three ports, and the targets of provider keys.

    Args:
        targets: What the desktop's provider keys name.
    """

    name = "public"

    def __init__(self, targets: Iterable[AllowedTarget] = ()) -> None:
        self._targets = {(target.host, target.port): target for target in targets}

    def decide(self, host: str, port: int) -> Verdict:
        """Decide on a name, before it is resolved.

        Args:
            host: A name or an address as the desktop has written it.
            port: The port that it wants.
        """
        host = normal_host(host)
        target = self._targets.get((host, port))
        if target:
            return _verdict_on_target(target)
        if host == HOST_NAME:
            return _refused(
                f"no provider key of this desktop names {HOST_NAME}:{port}",
                "Only the base URL of a provider key opens a port of that machine.",
            )
        if port not in OPEN_PORTS:
            return _refused(
                f"port {port} is closed",
                "Desktops reach ports 22, 80 and 443; use one of these, or ask the person.",
            )
        if is_address(host) and kind_of(host) is not Kind.PUBLIC:
            return _refused(f"it is {kind_of(host)}", PUBLIC_ONLY)
        return Verdict(True, "public", advice=PUBLIC_ONLY, kinds=frozenset({Kind.PUBLIC}))


PUBLIC_ONLY = (
    "Desktops reach public addresses only; ask the person, since trying again will not change it."
)

_TARGET_ADVICE = (
    "The base URL of a provider key may lead to a public or a private address, and to this "
    "machine by the name localhost; ask the workspace's owner to check the key."
)


def normal_host(host: str) -> str:
    """A host in the one form that is compared: lower case, no final dot, no brackets, ASCII."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def is_address(host: str) -> bool:
    """Whether this is an IP address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _verdict_on_target(target: AllowedTarget) -> Verdict:
    reason = "a provider key names it"
    kinds = {Kind.PUBLIC, Kind.PRIVATE} if target.private else {Kind.PUBLIC}
    address = None
    if target.host == HOST_NAME:
        kinds, address = {Kind.LOOPBACK}, _HOST_ADDRESS
    elif is_address(target.host):
        kinds, address = kinds | ({Kind.LOOPBACK} if target.private else set()), target.host
    return Verdict(True, reason, _TARGET_ADVICE, frozenset(kinds), address)


def _refused(reason: str, advice: str) -> Verdict:
    return Verdict(False, reason, advice)
