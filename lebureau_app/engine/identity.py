"""A guest's own identity: its names, keys and secrets, and the ways that lead them into it.

A guest that was booted is reached over SSH, by the host key that it made for itself. One whose
memory was resumed is a copy or has slept: it is told who it is over the hypervisor's own channel,
and nothing else may speak with it before.
"""

import hashlib
import json
from typing import Any, cast

import asyncssh

from lebureau_app.errors import GuestError
from lebureau_app.guest import inject, ssh
from lebureau_app.guest.agent_keys import AgentKey, ProviderName
from lebureau_app.models import Desktop, ProviderKey
from lebureau_app.providers.base import Machine, Provider
from lebureau_app.services import desktop_state, vault
from lebureau_app.settings import Settings

APPLY = ("/usr/local/sbin/lebureau-guest", "apply")
APPLY_SECONDS = 60.0
HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key.pub"


class Identities:
    """Gives guests their identity.

    Args:
        provider: Where desktops run.
        settings: For what every guest is told.
    """

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        self._given: dict[str, str] = {}

    async def give(self, desktop: Desktop, machine: Machine) -> None:
        """Tell a resumed guest who it is, over the hypervisor's channel, and settle its machine.

        May be repeated until it has succeeded once.

        Raises:
            NotYet: The guest does not answer (in time).
            GuestError: The guest could not take it.
        """
        document = await self._compose(desktop, fresh=machine.origin.is_clone)
        answer = await self._provider.run_in_guest(
            desktop.id,
            machine.ref,
            APPLY,
            stdin=json.dumps(document).encode(),
            timeout=APPLY_SECONDS,
        )
        applied = inject.understood(answer.stdout, answer.exit_code)
        await desktop_state.note(desktop.id, host_key=host_key(applied.host_key))
        await self._provider.settle(desktop.id, machine.ref)
        await desktop_state.note(desktop.id, identified=machine.boot)
        self._given[desktop.id] = _digest(document)

    async def hand_over(self, connection: asyncssh.SSHClientConnection, desktop: Desktop) -> bool:
        """Give a guest its identity, keys and secrets over SSH, unless `give` just did the same.

        Returns:
            Whether `give` did, so that the guest may still be busy with it.
        """
        document = await self._compose(desktop)
        just_given = self._given.pop(desktop.id, None) == _digest(document)
        if not just_given:
            await inject.apply(connection, document)
        return just_given

    async def _compose(self, desktop: Desktop, *, fresh: bool = False) -> dict[str, Any]:
        secrets = desktop_state.secrets_of(desktop)
        keys = await desktop_state.provider_keys_of(desktop)
        return inject.compose(
            desktop_id=desktop.id,
            hostname=desktop.name,
            authorized_key=ssh.authorized_key(self._settings),
            door_secret=secrets.door,
            ca=inject.extra_ca(self._settings),
            gateway_token=None if desktop.agent == "none" else secrets.gateway_token,
            keys=[_opened(key) for key in keys],
            fresh=fresh,
        )


def host_key(line: str) -> str:
    """A guest's SSH host key without its comment, from the line of its public key file.

    Raises:
        GuestError: It is not an Ed25519 key.
    """
    kind_and_key = " ".join(line.split()[:2])
    if not kind_and_key.startswith("ssh-ed25519 "):
        raise GuestError("The desktop has not made its SSH host key yet.")
    return kind_and_key


def _opened(key: ProviderKey) -> AgentKey:
    secret = vault.unseal(key.secret, f"provider_key/{key.id}/secret") if key.secret else ""
    return AgentKey(cast(ProviderName, key.provider), secret, key.base_url, key.model)


def _digest(document: dict[str, Any]) -> str:
    """What tells two documents apart that say the same at different times."""
    lasting = {name: document[name] for name in document if name not in ("time", "seed", "fresh")}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()
