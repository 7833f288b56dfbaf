"""What kind of place an IP address is (RFC 6890 and the registries of special addresses)."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class Kind(StrEnum):
    """The kinds of addresses, in words that fit into a sentence."""

    PUBLIC = "a public address"
    PRIVATE = "a private address"
    LOOPBACK = "a loopback address"
    LINK_LOCAL = "a link-local address"
    METADATA = "the metadata service of a cloud"
    RESERVED = "a reserved address"


# `ipaddress` puts some of these among the global or the private ones, depending on its version.
# Documentation addresses lead nowhere on the Internet and are nobody's inside: networks that stand
# in for the Internet, such as a laboratory's, use them, so they count as public.
_SPECIAL = {
    Kind.PUBLIC: (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "3fff::/20",
    ),
    Kind.METADATA: (
        "169.254.169.254/32",
        "169.254.170.2/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    ),
    Kind.LOOPBACK: ("127.0.0.0/8", "::1/128"),
    Kind.LINK_LOCAL: ("169.254.0.0/16", "fe80::/10"),
    Kind.PRIVATE: (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fec0::/10",
    ),
    Kind.RESERVED: (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "5f00::/16",
        "ff00::/8",
    ),
}
_NETWORKS = [
    (ip_network(network), kind) for kind, networks in _SPECIAL.items() for network in networks
]
_IPV6_UNICAST = ip_network("2000::/3")
_IPV4_COMPATIBLE = ip_network("::/96")
_NAT64 = ip_network("64:ff9b::/96")


def kind_of(address: str) -> Kind:
    """The kind of an address; one that carries an IPv4 address inside is what that one is.

    Args:
        address: IPv4 or IPv6 in its usual notation.

    Raises:
        ValueError: This is no IP address.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        inside = _ipv4_inside(parsed)
        if inside:
            return max((_plain_kind(each) for each in inside), key=list(Kind).index)
    return _plain_kind(parsed)


def _plain_kind(address: IPv4Address | IPv6Address) -> Kind:
    for network, kind in _NETWORKS:
        if address.version == network.version and address in network:
            return kind
    if not address.is_global:
        return Kind.RESERVED
    if address.version == 6 and address not in _IPV6_UNICAST:
        return Kind.RESERVED
    return Kind.PUBLIC


def _ipv4_inside(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, 6to4, Teredo, NAT64."""
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.sixtofour:
        return [address.sixtofour]
    if address.teredo:
        return list(address.teredo)
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return []
