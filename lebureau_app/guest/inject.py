"""Identity and keys for a desktop: one document, sent on standard input, applied in the guest.

The document is full of secrets. It is never logged, and it never is in an argument, in the
environment or on a disk. The guest's side is `lebureau-guest apply`: it may be run again at any
time, after each boot and whenever a key changes.
"""

import base64
import contextlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lebureau_app.errors import GuestError, Invalid
from lebureau_app.guest import agent_keys, ssh
from lebureau_app.guest.agent_keys import AgentKey
from lebureau_app.settings import Settings

__all__ = ["AgentKey", "Applied", "apply", "compose", "extra_ca", "understood"]

_HOST_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_SEED_BYTES = 512


@dataclass(frozen=True, slots=True)
class Applied:
    """What the guest says of itself once it has applied the document.

    Attributes:
        boot_id: Changes with each boot of the kernel.
        machine_id: The guest's own machine-id(5).
        host_key: Its SSH host key now, in OpenSSH form.
        openclaw: The version of OpenClaw, empty where there is none.
    """

    boot_id: str
    machine_id: str
    host_key: str
    openclaw: str


def compose(
    *,
    desktop_id: str,
    hostname: str,
    authorized_key: str,
    door_secret: str,
    ca: str = "",
    gateway_token: str | None = None,
    keys: Sequence[AgentKey] = (),
    fresh: bool = False,
) -> dict[str, Any]:
    """Build the document for one desktop, with the time and a seed of this moment.

    Args:
        desktop_id: Our id of the desktop.
        hostname: The desktop's name.
        authorized_key: Our SSH public key in OpenSSH form, the only one that may sign in.
        door_secret: What its screen and terminal ask for.
        ca: Certificates to trust beyond the usual, PEM.
        gateway_token: What OpenClaw's gateway asks for; None for a desktop without an agent.
        keys: The desktop's provider keys, the first of which supplies the model.
        fresh: Whether the guest is a clone and needs an identity of its own.

    Returns:
        The document for `apply`. It holds secrets.
    """
    agent = None
    if gateway_token is not None:
        agent = {
            "keys": agent_keys.key_file(keys, gateway_token),
            "config": agent_keys.configuration(keys),
        }
    return {
        "desktopId": desktop_id,
        "hostname": hostname,
        "time": time.time(),
        "seed": base64.b64encode(os.urandom(_SEED_BYTES)).decode(),
        "fresh": fresh,
        "authorizedKey": authorized_key,
        "door": door_secret,
        "ca": ca,
        "agent": agent,
    }


async def apply(
    connection: asyncssh.SSHClientConnection, document: dict[str, Any], *, timeout: float = 300
) -> Applied:
    """Send the document to the guest and wait until it has been applied.

    Args:
        connection: From `ssh.connect`.
        document: From `compose`.
        timeout: Seconds.

    Returns:
        What the guest says of itself.

    Raises:
        GuestError: It could not be applied; the sentence is the guest's own.
    """
    done = await ssh.run(
        connection,
        "sudo lebureau-guest apply",
        stdin=json.dumps(document).encode(),
        timeout=timeout,
    )
    if done.timed_out:
        raise GuestError(f"The desktop did not take its identity within {timeout:.0f} s.")
    return understood(done.stdout, done.exit_code)


def understood(answer: str | bytes, exit_code: int | None) -> Applied:
    """What `lebureau-guest apply` has answered, whichever way the document went.

    Args:
        answer: Its standard output.
        exit_code: How it ended.

    Raises:
        GuestError: It could not be applied; the sentence is the guest's own.
    """
    try:
        said = json.loads(answer)
        if said["ok"]:
            return Applied(
                boot_id=said["bootId"],
                machine_id=said["machineId"],
                host_key=said["hostKey"],
                openclaw=said.get("openclaw") or "",
            )
        reason = said["error"]
    except (ValueError, KeyError, TypeError):
        reason = f"its answer could not be read (exit code {exit_code})"
    raise GuestError(
        f"The desktop could not take its identity: {reason}.",
        hint="Restart the desktop. If it stays so, its image is damaged: build it again.",
    )


def extra_ca(settings: Settings) -> str:
    """The certificates that guests trust beyond the usual.

    Args:
        settings: `extra_ca_file` names the bundle; left out, it is what this host itself trusts
            beyond the usual (update-ca-certificates(8)).

    Returns:
        PEM, each certificate once; empty where there is none.

    Raises:
        Invalid: The file cannot be read, or holds no certificate.
    """
    if settings.extra_ca_file is None:
        return _pem(path.read_bytes() for path in sorted(_HOST_CERTIFICATES.rglob("*.crt")))
    try:
        bundle, problem = _pem([settings.extra_ca_file.read_bytes()]), "it holds no certificate"
    except OSError as error:
        bundle, problem = "", str(error.strerror)
    if not bundle:
        raise Invalid(
            f"LEBUREAU_EXTRA_CA_FILE ({settings.extra_ca_file}) cannot be used: {problem}.",
            hint="Name a file with certificates in PEM form, or unset it.",
        )
    return bundle


def _pem(files: Iterable[bytes]) -> str:
    """Every certificate of these files once; what is no certificate is left out."""
    found: dict[x509.Certificate, None] = {}
    for content in files:
        with contextlib.suppress(ValueError):
            found.update(dict.fromkeys(x509.load_pem_x509_certificates(content)))
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in found)
