"""The document for the guest: what is in it, how it travels, what comes back."""

import base64
import datetime
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lebureau_app.errors import GuestError, Invalid
from lebureau_app.gateway.egress import HOST_NAME
from lebureau_app.guest import inject, ssh
from lebureau_app.guest.agent_keys import REVOKED
from lebureau_app.guest.inject import AgentKey
from lebureau_app.settings import Settings

ANTHROPIC = AgentKey("anthropic", "sk-ant-1")
OPENROUTER = AgentKey("openrouter", "sk-or-1", model="qwen/qwen3-coder")
LOCAL = AgentKey("openai-compatible", "", base_url="http://localhost:11434/v1", model="scripted-1")


def composed(*keys: AgentKey, token: str | None = "token-1", **more: Any) -> dict[str, Any]:
    return inject.compose(
        desktop_id="dsk_1",
        hostname="dev-1",
        authorized_key="ssh-ed25519 ours",
        door_secret="door-1",
        gateway_token=token,
        keys=keys,
        **more,
    )


def agent(*keys: AgentKey) -> tuple[dict[str, Any], dict[str, Any]]:
    document = composed(*keys)["agent"]
    return document["keys"], document["config"]


def test_identity_is_in_the_document():
    document = composed(ca="PEM", fresh=True)
    assert document["desktopId"] == "dsk_1"
    assert document["hostname"] == "dev-1"
    assert document["authorizedKey"] == "ssh-ed25519 ours"
    assert document["door"] == "door-1"
    assert document["ca"] == "PEM"
    assert document["fresh"] is True
    assert abs(document["time"] - datetime.datetime.now().timestamp()) < 60
    assert len(base64.b64decode(document["seed"])) == 512
    json.dumps(document)


def test_each_document_has_a_seed_of_its_own():
    assert composed()["seed"] != composed()["seed"]


def test_a_desktop_without_an_agent_gets_no_agent_part():
    assert composed(ANTHROPIC, token=None)["agent"] is None


def test_the_first_key_supplies_the_model():
    _, config = agent(OPENROUTER, ANTHROPIC)
    assert config["agents"]["defaults"]["model"]["primary"] == "openrouter/qwen/qwen3-coder"
    assert list(config["models"]["providers"]) == ["openrouter", "anthropic"]


@pytest.mark.parametrize(
    ("key", "primary"),
    [
        (ANTHROPIC, "anthropic/claude-opus-5"),
        (AgentKey("openai", "k"), "openai/gpt-6-astra"),
        (AgentKey("openrouter", "k"), "openrouter/auto"),
        (AgentKey("openrouter", "k", model="openrouter/auto"), "openrouter/auto"),
        (AgentKey("anthropic", "k", model="claude-sonnet-5"), "anthropic/claude-sonnet-5"),
        (LOCAL, "openai-compatible/scripted-1"),
    ],
)
def test_the_model_of_each_provider(key: AgentKey, primary: str):
    assert agent(key)[1]["agents"]["defaults"]["model"]["primary"] == primary


def test_the_configuration_refers_to_secrets_and_holds_none():
    keys, config = agent(ANTHROPIC, OPENROUTER)
    assert keys["gateway"] == {"token": "token-1"}
    assert keys["providers"]["anthropic"] == {"apiKey": "sk-ant-1"}
    reference = config["models"]["providers"]["anthropic"]["apiKey"]
    assert reference == {
        "source": "file",
        "provider": "lbfile",
        "id": "/providers/anthropic/apiKey",
    }
    assert "sk-" not in json.dumps(config)


def test_a_provider_without_a_key_is_revoked_and_out_of_the_configuration():
    keys, config = agent(OPENROUTER)
    assert keys["providers"]["anthropic"] == {"apiKey": REVOKED}
    assert keys["providers"]["openai-compatible"] == {"apiKey": REVOKED}
    assert list(config["models"]["providers"]) == ["openrouter"]


def test_without_any_key_there_is_no_model():
    keys, config = agent()
    assert {entry["apiKey"] for entry in keys["providers"].values()} == {REVOKED}
    assert config == {"models": {"providers": {}}}


def test_the_first_key_of_a_provider_counts():
    keys, _ = agent(ANTHROPIC, AgentKey("anthropic", "sk-ant-2"))
    assert keys["providers"]["anthropic"] == {"apiKey": "sk-ant-1"}


def test_a_compatible_model_on_this_machine_is_called_as_the_guest_calls_it():
    keys, config = agent(LOCAL)
    entry = config["models"]["providers"]["openai-compatible"]
    assert entry["baseUrl"] == f"http://{HOST_NAME}:11434/v1"
    assert entry["api"] == "openai-completions"
    assert entry["models"][0]["id"] == "scripted-1"
    assert keys["providers"]["openai-compatible"]["apiKey"]


@pytest.mark.parametrize(
    ("given", "in_guest"),
    [
        ("http://127.0.0.1/v1", f"http://{HOST_NAME}:80/v1"),
        ("https://localhost/v1", f"https://{HOST_NAME}:443/v1"),
        ("http://[::1]:8/", f"http://{HOST_NAME}:8/"),
        ("http://10.0.0.5:8000/v1", "http://10.0.0.5:8000/v1"),
        ("https://llm.lan/v1", "https://llm.lan/v1"),
    ],
)
def test_base_urls(given: str, in_guest: str):
    key = AgentKey("openai-compatible", "k", base_url=given, model="m")
    assert agent(key)[1]["models"]["providers"]["openai-compatible"]["baseUrl"] == in_guest


def test_no_secret_shows_in_a_representation():
    assert "sk-ant-1" not in repr(ANTHROPIC)


class Guest:
    """Stands in for `ssh.run`: answers once and keeps what it was sent."""

    def __init__(self, stdout: str, exit_code: int | None = 0, timed_out: bool = False) -> None:
        self.done = ssh.Completed(exit_code, stdout, "", timed_out)
        self.command = ""
        self.stdin = b""

    async def __call__(self, _: Any, command: str, *, stdin: bytes, timeout: float):
        self.command, self.stdin = command, stdin
        return self.done


async def applied(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> inject.Applied:
    monkeypatch.setattr(ssh, "run", guest)
    return await inject.apply(None, composed(ANTHROPIC))  # pyright: ignore[reportArgumentType]


async def test_secrets_travel_on_standard_input_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    answer = {"ok": True, "bootId": "b", "machineId": "m", "hostKey": "ssh-ed25519 A"}
    guest = Guest(json.dumps(answer | {"openclaw": "2026.9.6"}))
    assert await applied(guest, monkeypatch) == inject.Applied(
        "b", "m", "ssh-ed25519 A", "2026.9.6"
    )
    assert guest.command == "sudo lebureau-guest apply"
    assert json.loads(guest.stdin)["agent"]["keys"]["providers"]["anthropic"]["apiKey"]
    assert "sk-ant-1" not in caplog.text


@pytest.mark.parametrize(
    ("guest", "sentence"),
    [
        (Guest('{"ok": false, "error": "the disk is full"}', 1), "the disk is full"),
        (Guest("sudo: a password is required", 1), "could not be read"),
        (Guest('{"ok": true}'), "could not be read"),
        (Guest("[]"), "could not be read"),
        (Guest("", None, timed_out=True), "within 300 s"),
    ],
)
async def test_what_the_guest_could_not_do_is_told(
    guest: Guest, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(GuestError, match=sentence) as caught:
        await applied(guest, monkeypatch)
    assert "sk-ant-1" not in caught.value.message


def certificate(name: str) -> bytes:
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now)
        .sign(key, None)
        .public_bytes(Encoding.PEM)
    )


def test_the_hosts_own_certificates_go_along_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inject, "_HOST_CERTIFICATES", tmp_path)
    one, two = certificate("one"), certificate("two")
    (tmp_path / "below").mkdir()
    (tmp_path / "a.crt").write_bytes(one)
    (tmp_path / "below" / "b.crt").write_bytes(two + one)
    (tmp_path / "broken.crt").write_bytes(b"no certificate")
    assert inject.extra_ca(Settings()) == (one + two).decode()


def test_a_host_without_own_certificates_adds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inject, "_HOST_CERTIFICATES", tmp_path / "missing")
    assert inject.extra_ca(Settings()) == ""


def test_the_named_file_takes_their_place(tmp_path: Path):
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(certificate("mine"))
    assert inject.extra_ca(Settings(extra_ca_file=bundle)) == bundle.read_text()


def test_a_named_file_without_a_certificate_is_refused(tmp_path: Path):
    bundle = tmp_path / "ca.pem"
    with pytest.raises(Invalid, match="No such file"):
        inject.extra_ca(Settings(extra_ca_file=bundle))
    bundle.write_text("nothing")
    with pytest.raises(Invalid, match="no certificate"):
        inject.extra_ca(Settings(extra_ca_file=bundle))
