"""Starting to serve: safe addresses only, one server a home, a free port."""

import datetime
import os
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lebureau_app import server
from lebureau_app.server import CannotServe
from lebureau_app.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str):
    server.check_listening(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "office.example"])
def test_beyond_loopback_is_refused_without_tls(host: str):
    with pytest.raises(CannotServe) as refusal:
        server.check_listening(Settings(host=host))
    assert "LEBUREAU_INSECURE_LISTEN" in refusal.value.hint


def test_beyond_loopback_may_be_insisted_on():
    server.check_listening(Settings(host="0.0.0.0", insecure_listen=True))


def test_half_a_certificate_is_refused(tmp_path: Path):
    with pytest.raises(CannotServe, match="Only one of"):
        server.check_listening(Settings(tls_cert=tmp_path / "cert.pem"))


def test_a_certificate_that_does_not_load_is_refused(tmp_path: Path):
    with pytest.raises(CannotServe, match="cannot be used"):
        server.check_listening(Settings(tls_cert=tmp_path / "no.pem", tls_key=tmp_path / "no.key"))


def test_beyond_loopback_is_fine_with_tls(tmp_path: Path):
    certificate, key = make_certificate(tmp_path)
    server.check_listening(Settings(host="0.0.0.0", tls_cert=certificate, tls_key=key))


def test_a_second_server_on_the_same_home_is_refused(tmp_path: Path):
    held = server.lock_home(tmp_path)
    with pytest.raises(CannotServe, match="Another Le Bureau server"):
        server.lock_home(tmp_path)
    os.close(held)
    os.close(server.lock_home(tmp_path))


def test_a_port_in_use_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(CannotServe, match="already in use") as refusal:
            server.listen("127.0.0.1", taken.getsockname()[1])
    assert "LEBUREAU_PORT" in refusal.value.hint


def test_a_foreign_address_is_a_sentence():
    with pytest.raises(CannotServe, match=r"cannot listen on 192\.0\.2\.1"):
        server.listen("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_address_shown_can_be_opened_here(host: str, shown: str):
    assert server.origin(Settings(host=host)) == shown


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
