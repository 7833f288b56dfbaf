"""Our identity towards one desktop's OpenClaw: an Ed25519 device key (`docs/gateway/protocol`)."""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Device:
    """A device that OpenClaw knows by the hash of its public key.

    Runs that a device starts may wait for approvals; runs of a client without one may not.

    Args:
        private_key: The 32 bytes from `generate`, a secret.
    """

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self._public = self._key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self._public).hexdigest()

    @staticmethod
    def generate() -> bytes:
        """A new private key."""
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def proof(
        self,
        *,
        client: dict[str, str],
        role: str,
        scopes: list[str],
        token: str,
        challenge: dict[str, Any],
    ) -> dict[str, Any]:
        """The `device` block of `connect`: a signature over the gateway's challenge.

        Args:
            client: The `client` block of the same request.
            role: Its role.
            scopes: Its scopes, in their order.
            token: The gateway's token.
            challenge: The payload of `connect.challenge`.

        Returns:
            The block, valid for this one connection.
        """
        signed = "|".join(
            (
                "v3",
                self.id,
                client["id"],
                client["mode"],
                role,
                ",".join(scopes),
                str(challenge["ts"]),
                token,
                challenge["nonce"],
                client["platform"],
                client.get("deviceFamily", ""),
            )
        )
        return {
            "id": self.id,
            "publicKey": _base64url(self._public),
            "signature": _base64url(self._key.sign(signed.encode())),
            "signedAt": challenge["ts"],
            "nonce": challenge["nonce"],
        }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
