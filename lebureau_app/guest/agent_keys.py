"""What a desktop's provider keys become in the guest: OpenClaw's key file and configuration.

OpenClaw 2026.9.6 reads secrets from a file on tmpfs by reference (`docs/gateway/secrets.md` of its
npm package) and merges `models.providers` over its own catalogue (`docs/concepts/models.md`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from lebureau_app.gateway.egress import HOST_NAME, AllowedTarget

ProviderName = Literal["anthropic", "openai", "openrouter", "openai-compatible"]

REVOKED = "__OPENCLAW_REDACTED__"

# The defaults of OpenClaw's own set-up for an API key.
DEFAULT_MODELS = {
    "anthropic": "claude-opus-5",
    "openai": "gpt-6-astra",
    "openrouter": "auto",
}

_SECRETS_PROVIDER = "lbfile"
_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class AgentKey:
    """One provider key of a desktop, decrypted.

    Attributes:
        provider: Whose key it is.
        secret: The key; may be empty for `openai-compatible`.
        base_url: Where the model answers, if not at the provider's own address.
        model: The model's id there; left out, the provider's default.
    """

    provider: ProviderName
    secret: str = field(repr=False)
    base_url: str | None = None
    model: str | None = None


def key_file(keys: Sequence[AgentKey], gateway_token: str) -> dict[str, Any]:
    """The whole `keys.json` of the guest.

    OpenClaw keeps the last good value of a reference that has vanished, so every provider without
    a key is written as revoked.

    Args:
        keys: The desktop's keys, the first of which supplies the model.
        gateway_token: The secret that OpenClaw's gateway asks for.

    Returns:
        A document full of secrets: for standard input only.
    """
    revoked = {name: {"apiKey": REVOKED} for name in _all_names()}
    held = {name: {"apiKey": key.secret or _NO_KEY} for name, key in _named(keys)}
    return {"gateway": {"token": gateway_token}, "providers": revoked | held}


def configuration(keys: Sequence[AgentKey]) -> dict[str, Any]:
    """What goes over the image's own `openclaw.json`.

    Args:
        keys: The desktop's keys, the first of which supplies the model.

    Returns:
        The overlay; it has references to secrets and no secret.
    """
    named = _named(keys)
    overlay: dict[str, Any] = {
        "models": {"providers": {name: _provider(name, key) for name, key in named}}
    }
    if named:
        overlay["agents"] = {"defaults": {"model": {"primary": _model_reference(*named[0])}}}
    return overlay


def _named(keys: Sequence[AgentKey]) -> list[tuple[str, AgentKey]]:
    """Each key with OpenClaw's name for its provider; a name is taken by its first key."""
    named: dict[str, AgentKey] = {}
    for key in keys:
        named.setdefault(key.provider, key)
    return list(named.items())


def _all_names() -> tuple[str, ...]:
    return get_args(ProviderName)


def _provider(name: str, key: AgentKey) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "apiKey": {
            "source": "file",
            "provider": _SECRETS_PROVIDER,
            "id": f"/providers/{name}/apiKey",
        },
        "models": [],
    }
    if key.base_url:
        entry["baseUrl"] = _guest_url(key.base_url)
    if key.provider == "openai":
        # Else OpenClaw may look for the Codex program, which the image does not have.
        entry["agentRuntime"] = {"id": "openclaw"}
    if key.provider == "openai-compatible":
        entry["api"] = "openai-completions"
        entry["models"] = [_own_model(key.model or "")]
    return entry


def _own_model(model: str) -> dict[str, Any]:
    """A model that OpenClaw's catalogue does not know: nothing is known of its price either."""
    return {
        "id": model,
        "name": model,
        "reasoning": False,
        "input": ["text", "image"],
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        "contextWindow": 128_000,
        "maxTokens": 8_192,
    }


def _model_reference(name: str, key: AgentKey) -> str:
    model = key.model or DEFAULT_MODELS[key.provider]
    return model if model.startswith(f"{name}/") else f"{name}/{model}"


def _guest_url(base_url: str) -> str:
    """The address as the guest calls it: this machine has a name of its own there."""
    target = AllowedTarget.from_url(base_url)
    if target.host != HOST_NAME:
        return base_url
    return urlsplit(base_url)._replace(netloc=f"{target.host}:{target.port}").geturl()
