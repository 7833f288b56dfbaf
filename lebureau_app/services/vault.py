"""Secrets at rest: AES-256-GCM, bound to the place where they are stored.

An envelope is `v1:<key id>:<base64url of nonce and ciphertext>`. The associated data names table,
row and column, so that an envelope moved elsewhere does not open (NIST SP 800-38D).
"""

import base64
import hashlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lebureau_app.errors import LeBureauError
from lebureau_app.settings import get_settings

_NONCE = 12


class VaultError(LeBureauError):
    """A stored secret cannot be opened."""

    code = "vault_locked"
    message = "A stored secret cannot be opened with the present master key."
    hint = "Put back the master key (master.key in LEBUREAU_HOME), or enter the secret again."


def seal(secret: str, place: str) -> str:
    """Encrypt a secret for one place.

    Args:
        secret: The plain text.
        place: `table/row/column`.

    Returns:
        The envelope to store.
    """
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(_master_key()).encrypt(nonce, secret.encode(), place.encode())
    return f"v1:{_key_id()}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(envelope: str, place: str) -> str:
    """Decrypt what `seal` made for the same place.

    Raises:
        VaultError: Another master key, another place, or the envelope was changed.
    """
    try:
        version, key_id, body = envelope.split(":")
        raw = base64.urlsafe_b64decode(body)
        if version != "v1" or key_id != _key_id():
            raise VaultError
        return AESGCM(_master_key()).decrypt(raw[:_NONCE], raw[_NONCE:], place.encode()).decode()
    except (ValueError, InvalidTag) as error:
        raise VaultError from error


def digest(token: str) -> str:
    """The form in which a high-entropy token is stored: its SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


@lru_cache
def _key_id() -> str:
    return hashlib.sha256(b"lebureau key id" + _master_key()).hexdigest()[:8]


@lru_cache
def _master_key() -> bytes:
    """The master key: the environment, a systemd credential, or a file made on first use."""
    settings = get_settings()
    if settings.master_key:
        return _stretch(settings.master_key.get_secret_value())
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), "lebureau.key")
    if credential.is_file():
        return _stretch(credential.read_text())
    return _stretch(_own_file(settings.home / "master.key"))


def _own_file(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    return path.read_text()


def _stretch(text: str) -> bytes:
    text = text.strip()
    if len(text) < 32:
        raise VaultError(
            "The master key is shorter than 32 characters.",
            hint="Use at least 32 random characters, as `openssl rand -base64 32` makes them.",
        )
    return hashlib.sha256(text.encode()).digest()
