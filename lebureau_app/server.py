"""The server process: one home, one port, the prebuilt front end, no compiler."""

import fcntl
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from lebureau_app.errors import LeBureauError
from lebureau_app.settings import Settings

LARGEST_FRAME = 16 << 20
GRACE = 3
UNREAD = 60


class CannotServe(LeBureauError):
    """The server cannot start the way it was asked to."""

    code = "cannot_serve"
    message = "The server cannot start."
    hint = "`lebureau doctor` says what is missing."


def serve(settings: Settings) -> None:
    """Serve until interrupted.

    Args:
        settings: Where to listen, with which certificate, and the home folder.

    Raises:
        CannotServe: The address is taken or unsafe, or another server runs on this home.
    """
    check_listening(settings)
    settings.make_folders()
    lock = lock_home(settings.home)
    listener = listen(settings.host, settings.port)
    try:
        _set_up_logging(settings.log_level)
        application = load_application(settings.home)
        server = _Announcing(_config(settings, application), lambda: announcement(settings))
        with suppress(KeyboardInterrupt):
            server.run([listener])
    finally:
        listener.close()
        os.close(lock)


def check_listening(settings: Settings) -> None:
    """Refuse to be reachable from elsewhere without TLS, and half a certificate.

    Raises:
        CannotServe: With the way out in its hint.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise CannotServe(
            "Only one of LEBUREAU_TLS_CERT and LEBUREAU_TLS_KEY is set.",
            hint="Set both, or neither.",
        )
    if settings.tls_cert and settings.tls_key:
        _check_certificate(settings.tls_cert, settings.tls_key)
    elif not is_loopback(settings.host) and not settings.insecure_listen:
        raise CannotServe(
            f"Le Bureau will not listen on {settings.host} without TLS: passwords, screens and "
            "keys would cross the network in the clear.",
            hint="Set LEBUREAU_TLS_CERT and LEBUREAU_TLS_KEY; put a TLS proxy on this machine in "
            "front of 127.0.0.1; or, on a network you trust, LEBUREAU_INSECURE_LISTEN=true.",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def lock_home(home: Path) -> int:
    """Take the home folder for this process, by flock(2): it is let go even by a kill.

    Returns:
        The descriptor that holds the lock.

    Raises:
        CannotServe: Another server has it.
    """
    descriptor = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotServe(
            f"Another Le Bureau server is running on {home}.",
            hint="Stop it first, or give this one its own LEBUREAU_HOME and LEBUREAU_PORT.",
        ) from None
    return descriptor


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        CannotServe: The port is in use, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A peer that takes nothing for a minute is gone: tcp(7), inherited by each connection.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD * 1000)
        try:
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise CannotServe(
            f"Le Bureau cannot listen on {host}, port {port}: {error.strerror}.",
            hint="Stop what uses that port, or set LEBUREAU_PORT (and LEBUREAU_HOST) to another.",
        ) from error
    return listener


def load_application(home: Path) -> Any:
    """The ASGI application: Reflex pages, REST and WebSockets in one."""
    from lebureau_app import frontend

    frontend.prepare_runtime(home)
    from lebureau_app.lebureau_app import app

    return app()


def origin(settings: Settings) -> str:
    """The address that a browser on this machine uses."""
    scheme = "https" if settings.tls_cert else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{scheme}://{host}:{settings.port}"


async def announcement(settings: Settings) -> str:
    """What is printed when the server answers: its address, and the way in."""
    from lebureau_app.services import setup

    lines = [f"Le Bureau is at {origin(settings)}"]
    link = await setup.setup_link(origin(settings))
    if link:
        lines += ["", "First visit: make the owner account with this link, which works once:", link]
    return "\n".join(lines)


def _config(settings: Settings, application: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=LARGEST_FRAME,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        raise CannotServe(
            f"The TLS certificate {certificate} and its key {key} cannot be used: {error}.",
            hint="Both are PEM files; the certificate's file holds the whole chain.",
        ) from error


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    # uvicorn writes down the address of every WebSocket, tickets and all: never, at any level.
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.setLevel(logging.WARNING)
    # It takes a WebSocket that was refused with a status of ours for a fault.
    uvicorn_log.addFilter(lambda line: "without completing handshake" not in line.getMessage())
    if level != "debug":
        for chatty in ("httpx", "httpcore", "asyncssh", "alembic", "websockets"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


class _Announcing(uvicorn.Server):
    """A server that says where it is as soon as it answers."""

    def __init__(self, config: uvicorn.Config, words: Callable[[], Awaitable[str]]) -> None:
        super().__init__(config)
        self._words = words

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(await self._words(), flush=True)
