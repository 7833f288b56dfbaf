"""The agent's gateway: its keys, its configuration, and whether it runs."""

from __future__ import annotations

import json
from typing import Any

from lebureau_guest.machine import USER, GuestError, Machine

UNIT = "lebureau-openclaw.service"
KEYS = "/run/lebureau/keys.json"
BASE_CONFIG = "/etc/lebureau/openclaw.base.json"
CONFIG = f"/home/{USER}/.openclaw/openclaw.json"


def set_up(machine: Machine, agent: dict[str, Any]) -> None:
    """Give the gateway its keys and configuration, and start it.

    A gateway that runs with the token of another machine is taken over, in the background; it may
    be held (`Machine.hold`) until then.

    Args:
        machine: The machine.
        agent: ``keys``, the whole key file, and ``config``, laid over the image's own.

    Raises:
        GuestError: A part is missing or has the wrong shape.
    """
    keys, overlay = agent.get("keys"), agent.get("config", {})
    if not isinstance(keys, dict) or not isinstance(overlay, dict):
        raise GuestError("agent.keys and agent.config must be JSON objects.")
    config = json.dumps(merge(json.loads(machine.read(BASE_CONFIG)), overlay), indent=2) + "\n"
    before, after = gateway_token(json.loads(machine.read(KEYS) or "{}")), gateway_token(keys)
    machine.write(KEYS, json.dumps(keys), mode=0o600, private=True)
    reloads = machine.write(CONFIG, config, mode=0o600, private=True)
    runs = machine.is_active(UNIT)
    if runs and before != after:
        from lebureau_guest import takeover

        takeover.in_background(before, after, machine, reloads=reloads)
        return
    machine.release(UNIT)
    if not runs:
        machine.run(["systemctl", "start", "--no-block", UNIT])


def shut_off(machine: Machine) -> None:
    """Stop the gateway and take its keys away."""
    machine.run(["systemctl", "stop", "--no-block", UNIT])
    machine.remove(KEYS)


def gateway_token(keys: dict[str, Any]) -> str:
    """The token in a key file, or nothing."""
    gateway = keys.get("gateway")
    return str(gateway.get("token", "")) if isinstance(gateway, dict) else ""


def merge(base: Any, overlay: Any) -> Any:
    """Lay one JSON value over another: objects key by key, everything else as a whole."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        return base | {key: merge(base.get(key), value) for key, value in overlay.items()}
    return overlay
