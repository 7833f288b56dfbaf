"""What a request to a forward proxy asks for (RFC 9112 §3.2)."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

import h11

from lebureau_app.gateway.egress.refusal import malformed

_URL = re.compile(rb"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        host: A name or an address, without brackets.
        port: From 1 to 65535.
        authority: Host and port as the desktop has written them.
        path: Path and query for the destination; empty for CONNECT.
    """

    host: str
    port: int
    authority: str
    path: bytes = b""


def target_of(request: h11.Request) -> Target:
    """Read where a request goes: authority-form for CONNECT, absolute-form for the rest.

    Raises:
        Refusal: It is neither.
    """
    if request.method == b"CONNECT":
        return _place(request.target.decode("ascii"), default_port=None)
    url = _URL.match(request.target)
    if not url:
        raise malformed("The request is not for an http:// URL.")
    authority = url[1].rpartition(b"@")[2].decode("ascii")
    path = url[2] or (b"*" if request.method == b"OPTIONS" else b"/")
    if path.startswith(b"?"):
        path = b"/" + path
    place = _place(authority, default_port=80)
    return Target(place.host, place.port, place.authority, path)


def _place(authority: str, default_port: int | None) -> Target:
    match = _AUTHORITY.fullmatch(authority)
    port = int(match["port"]) if match and match["port"] else default_port
    if not match or port is None or not 0 < port < 65536:
        raise malformed("The request does not name a host and a port.")
    host = match["host"].strip("[]")
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise malformed("The request names an impossible IPv6 address.") from None
    return Target(host, port, authority)
