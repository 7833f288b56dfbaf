"""Certificates that this desktop trusts beyond Debian's own."""

from __future__ import annotations

import base64
import json
import re
import ssl

from lebureau_guest.machine import GuestError, Machine

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
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
    present = _present(machine)
    if wanted == present:
        return False
    _replace_files(machine, present, wanted)
    _replace_in_bundle(machine, present, wanted)
    policy = {"CACertificates": [base64.b64encode(der).decode() for der in certificates]}
    machine.write(BROWSER_POLICY, json.dumps(policy, indent=2) + "\n")
    return True


def _present(machine: Machine) -> dict[str, str]:
    directory = machine.path(LOCAL_CERTIFICATES)
    return {path.name: path.read_text() for path in sorted(directory.glob("lebureau-*.crt"))}


def _replace_files(machine: Machine, present: dict[str, str], wanted: dict[str, str]) -> None:
    for name in present.keys() - wanted.keys():
        machine.remove(f"{LOCAL_CERTIFICATES}/{name}")
    for name, pem in wanted.items():
        machine.write(f"{LOCAL_CERTIFICATES}/{name}", pem)


def _replace_in_bundle(machine: Machine, present: dict[str, str], wanted: dict[str, str]) -> None:
    """Do to the bundle what update-ca-certificates(8) would, which takes a minute when emulated."""
    bundle = machine.read(BUNDLE)
    for pem in present.values():
        bundle = bundle.replace(pem, "")
    machine.write(BUNDLE, bundle + "".join(wanted.values()))


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise GuestError("The CA bundle holds a damaged certificate.") from error
