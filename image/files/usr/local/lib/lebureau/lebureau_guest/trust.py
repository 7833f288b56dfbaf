"""Certificates that this desktop trusts beyond Debian's own."""

from __future__ import annotations

import base64
import json
import re
import ssl

from lebureau_guest.machine import GuestError, Machine

LOCAL_CERTIFICATES = "/usr/local/share/ca-certificates"
BROWSER_POLICY = "/etc/chromium/policies/managed/lebureau-ca.json"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trust(machine: Machine, bundle: str) -> bool:
    """Trust exactly these certificates beside Debian's, in every program.

    Args:
        machine: The machine.
        bundle: PEM certificates one after the other, or nothing.

    Returns:
        Whether anything changed.

    Raises:
        GuestError: The text holds something that is no certificate.
    """
    certificates = [_der(pem) for pem in _PEM.findall(bundle)]
    if bundle.strip() and not certificates:
        raise GuestError("The CA bundle holds no PEM certificate.")
    wanted = {
        f"lebureau-{number}.crt": ssl.DER_cert_to_PEM_cert(der)
        for number, der in enumerate(certificates)
    }
    if not _place(machine, wanted):
        return False
    machine.run(["update-ca-certificates"])
    policy = {"CACertificates": [base64.b64encode(der).decode() for der in certificates]}
    machine.write(BROWSER_POLICY, json.dumps(policy, indent=2) + "\n")
    return True


def _place(machine: Machine, wanted: dict[str, str]) -> bool:
    directory = machine.path(LOCAL_CERTIFICATES)
    present = {path.name for path in directory.glob("lebureau-*.crt")}
    removed = [machine.remove(f"{LOCAL_CERTIFICATES}/{name}") for name in present - set(wanted)]
    written = [machine.write(f"{LOCAL_CERTIFICATES}/{name}", pem) for name, pem in wanted.items()]
    return any(removed) or any(written)


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise GuestError("The CA bundle holds a damaged certificate.") from error
