"""From a name and a verdict to a connection: the one place that opens connections outwards.

A name is resolved here and nowhere else, and the connection goes to the very address that was
checked: a name that changes its mind between check and connection (DNS rebinding) gains nothing.
A proxy that the host itself has to use would be dialled here too.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, zip_longest

from lebureau_app.gateway.egress.addresses import Kind, kind_of
from lebureau_app.gateway.egress.policy import Verdict, is_address, normal_host
from lebureau_app.gateway.egress.refusal import Refusal

Resolve = Callable[[str], Awaitable[list[str]]]
"""All addresses of a name; raises OSError where it has none."""

_HEAD_START = 0.3
_MOST_ADDRESSES = 16
_TRY_LATER = "Check the name and try again later."


@dataclass(frozen=True, slots=True)
class Upstream:
    """An open connection to a destination."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str


class SystemResolver:
    """The host's own resolver, in threads of its own.

    They are few and belong to one desktop: names that take long to resolve hold up nobody else.
    """

    def __init__(self, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="egress-dns")

    async def __call__(self, host: str) -> list[str]:
        """All addresses of a name, in the order of the system's preference (RFC 6724)."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        """Let go of the threads without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Dialer:
    """Opens checked connections.

    Args:
        resolve: Finds the addresses of a name.
        dns_timeout: Seconds for that.
        connect_timeout: Seconds for the connection, over all addresses.
    """

    def __init__(self, resolve: Resolve, *, dns_timeout: float, connect_timeout: float) -> None:
        self._resolve = resolve
        self._dns_timeout = dns_timeout
        self._connect_timeout = connect_timeout

    async def dial(self, host: str, port: int, verdict: Verdict) -> Upstream:
        """Connect to a destination that the policy has allowed by name.

        Args:
            host: The name or address.
            port: The port.
            verdict: What the policy said about them.

        Raises:
            Refusal: No address of the name is allowed (403), or it does not work (502, 504).
        """
        addresses = [verdict.address] if verdict.address else await self._addresses(host)
        admitted = [address for address in addresses if verdict.admits(address)]
        if not admitted:
            raise Refusal(
                403,
                "destination_ip_prohibited",
                f"Le Bureau did not connect to {host}:{port}: "
                f"it leads to {addresses[0]}, {kind_of(addresses[0])}.",
                verdict.advice,
            )
        upstream = await self._connect(host, admitted[:_MOST_ADDRESSES], port)
        if verdict.kinds == {Kind.PUBLIC} and _leads_back(upstream):
            upstream.writer.close()
            raise Refusal(
                403,
                "destination_ip_prohibited",
                f"Le Bureau did not connect to {host}:{port}: it is the machine Le Bureau runs on.",
                verdict.advice,
            )
        return upstream

    async def _addresses(self, host: str) -> list[str]:
        host = normal_host(host)
        if is_address(host):
            return [host]
        try:
            async with asyncio.timeout(self._dns_timeout):
                found = await self._resolve(host)
        except TimeoutError:
            raise Refusal(
                504,
                "dns_timeout",
                f"The name {host} could not be looked up within {self._dns_timeout:g} s.",
                _TRY_LATER,
            ) from None
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise Refusal(502, "dns_error", f"There is no address for {host}.", _TRY_LATER)
        return found

    async def _connect(self, host: str, addresses: list[str], port: int) -> Upstream:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await _race(_families_in_turn(addresses), port)
        except TimeoutError:
            raise Refusal(
                504,
                "connection_timeout",
                f"{host}:{port} did not answer within {self._connect_timeout:g} s.",
                "Try again later.",
            ) from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "no connection"
            raise Refusal(
                502,
                "connection_refused"
                if isinstance(error, ConnectionRefusedError)
                else "destination_unavailable",
                f"{host}:{port} cannot be reached: {reason}.",
                _TRY_LATER,
            ) from None


async def _race(addresses: list[str], port: int) -> Upstream:
    """Try the addresses, each with a small head start on the next (after RFC 8305).

    Raises:
        OSError: None answers; the error of the last one that failed.
    """
    attempts: set[asyncio.Task[Upstream]] = set()
    waiting = list(addresses)
    failure = OSError("no address")
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_attempt(waiting.pop(0), port)))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=_HEAD_START if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            won = None
            for attempt in done:
                error = attempt.exception()
                if error is None and won is None:
                    won = attempt.result()
                elif error is None:
                    attempt.result().writer.close()
                elif isinstance(error, OSError):
                    failure = error
                else:
                    raise error
            if won:
                return won
        raise failure
    finally:
        await _abandon(attempts)


async def _attempt(address: str, port: int) -> Upstream:
    reader, writer = await asyncio.open_connection(address, port, limit=256 * 1024)
    return Upstream(reader, writer, address)


async def _abandon(attempts: set[asyncio.Task[Upstream]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, Upstream):
            outcome.writer.close()


def _families_in_turn(addresses: list[str]) -> list[str]:
    first_is_v6 = ":" in addresses[0]
    preferred = [address for address in addresses if (":" in address) == first_is_v6]
    other = [address for address in addresses if (":" in address) != first_is_v6]
    return [address for address in chain(*zip_longest(preferred, other)) if address]


def _leads_back(upstream: Upstream) -> bool:
    """Whether the connection ends on this very machine: then both ends have one address."""
    here = upstream.writer.get_extra_info("sockname")
    there = upstream.writer.get_extra_info("peername")
    return bool(here and there and here[0] == there[0])
