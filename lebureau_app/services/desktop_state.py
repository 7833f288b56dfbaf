"""What a desktop is: its row, its secrets, its lights. The engine's side of desktops."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import DesktopNotFound
from lebureau_app.guest.device import Device
from lebureau_app.models import (
    Desktop,
    Light,
    Operation,
    ProviderKey,
    Snapshot,
    Status,
    lights,
    utc_now,
)
from lebureau_app.providers.base import MachineSpec
from lebureau_app.services import events, present, vault
from lebureau_app.services.access import Caller, visible


@dataclass(frozen=True, slots=True)
class Secrets:
    """A desktop's own secrets.

    Attributes:
        door: What opens the guest's VNC and terminal ports.
        gateway_token: The token of OpenClaw's gateway.
        device_key: Our Ed25519 key for the gateway, 32 raw bytes in hex.
    """

    door: str
    gateway_token: str
    device_key: str


async def find(session: AsyncSession, caller: Caller, desktop_id: str) -> Desktop:
    """The same inside a session that is open already."""
    query = visible(select(Desktop), Desktop, caller).where(Desktop.id == desktop_id)
    row = (await session.exec(query)).first()
    if row is None:
        raise DesktopNotFound
    return row


async def load(desktop_id: str) -> Desktop | None:
    """One desktop for the engine, whoever owns it."""
    async with db.reading() as session:
        return await session.get(Desktop, desktop_id)


async def living() -> list[Desktop]:
    """Every desktop that is not destroyed, for the engine."""
    async with db.reading() as session:
        return list(await session.exec(select(Desktop).where(Desktop.status != Status.DESTROYED)))


async def tiers_in_use() -> set[str]:
    """The tiers of living desktops."""
    async with db.reading() as session:
        query = select(Desktop.tier).where(Desktop.status != Status.DESTROYED)
        return set(await session.exec(query.distinct()))


async def images_in_use() -> set[str]:
    """The images that living desktops, and what is kept of them, are built on."""
    async with db.reading() as session:
        query = select(Desktop.image).where(Desktop.status != Status.DESTROYED)
        used = {*await session.exec(query), *await session.exec(select(Snapshot.image))}
        upgrades = select(Operation.params).where(
            Operation.kind == "upgrade", col(Operation.ended_at).is_(None)
        )
        used |= {params["before"]["image"] for params in await session.exec(upgrades)}
        return used - {""}


async def provider_keys_of(desktop: Desktop) -> list[ProviderKey]:
    """The provider keys that a desktop holds, in order; the first supplies the model."""
    async with db.reading() as session:
        query = select(ProviderKey).where(ProviderKey.workspace_id == desktop.workspace_id)
        keys = {key.id: key for key in await session.exec(query.order_by(col(ProviderKey.id)))}
    if desktop.provider_keys is None:
        return list(keys.values())
    return [keys[key_id] for key_id in desktop.provider_keys if key_id in keys]


def secrets_of(desktop: Desktop) -> Secrets:
    """A desktop's own secrets, opened."""
    return Secrets(**json.loads(vault.unseal(desktop.secrets, _place(desktop.id))))


def spec_of(desktop: Desktop, authorized_key: str) -> MachineSpec:
    """What the provider must make for a desktop."""
    return MachineSpec(
        desktop_id=desktop.id,
        name=desktop.name,
        image=desktop.image,
        vcpus=desktop.vcpus,
        memory=desktop.memory,
        disk=desktop.disk,
        authorized_key=authorized_key,
        snapshot=desktop.born_of,
    )


def new_secrets(desktop_id: str) -> str:
    """Make a desktop's own secrets, sealed for its row."""
    made = json.dumps(
        {
            "door": secrets.token_hex(32),
            "gateway_token": secrets.token_hex(32),
            "device_key": Device.generate().hex(),
        }
    )
    return vault.seal(made, _place(desktop_id))


async def note(desktop_id: str, **columns: Any) -> Desktop | None:
    """Write what the engine found out, and tell it where it makes a difference.

    Args:
        desktop_id: Which desktop.
        columns: Column names and their values.

    Returns:
        The desktop, or None where there is none.
    """
    async with db.writing() as session:
        desktop = await session.get(Desktop, desktop_id)
        if desktop is None:
            return None
        apply(session, desktop, columns)
        return desktop


async def hibernated(desktop_id: str) -> None:
    """Write down that a desktop hibernates; what its agent is at goes on when it wakes."""
    await note(
        desktop_id,
        status=Status.HIBERNATED,
        readiness=lights(),
        activity="",
        boot="",
    )


def apply(session: AsyncSession, desktop: Desktop, columns: Mapping[str, Any]) -> None:
    """Set columns of a desktop inside an open transaction; tells it only if something changed."""
    before = present.desktop(desktop)
    if columns.get("status", desktop.status) != desktop.status:
        _count_running_time(desktop, columns["status"])
    for column, value in columns.items():
        setattr(desktop, column, value)
    session.add(desktop)
    if present.desktop(desktop) != before:
        emit(session, "desktop.updated", desktop)


async def set_lights(
    desktop_id: str, channels: Iterable[str], state: Light, reason: str = ""
) -> None:
    """Set the lights of some channels, each with its reason."""
    async with db.writing() as session:
        desktop = await session.get(Desktop, desktop_id, with_for_update=True)
        if desktop is None or desktop.status == Status.DESTROYED:
            return
        lit = {channel: {"state": str(state), "reason": reason} for channel in channels}
        if all(desktop.readiness.get(channel) == light for channel, light in lit.items()):
            return
        apply(session, desktop, {"readiness": {**desktop.readiness, **lit}})


async def doubt_lights() -> None:
    """Take back every light of a running desktop: a server that has just started has seen none."""
    async with db.writing() as session:
        for desktop in await session.exec(select(Desktop).where(Desktop.status == Status.RUNNING)):
            apply(session, desktop, {"readiness": lights(Light.STARTING)})


async def add_usage(desktop_id: str, input_tokens: int, output_tokens: int, cost: Decimal) -> None:
    """Add what a run has used to the desktop's sum."""
    async with db.writing() as session:
        desktop = await session.get(Desktop, desktop_id)
        if desktop is None:
            return
        sums = {
            "input_tokens": desktop.input_tokens + input_tokens,
            "output_tokens": desktop.output_tokens + output_tokens,
            "cost": desktop.cost + cost,
            "last_active_at": utc_now(),
        }
        apply(session, desktop, sums)


def gone(session: AsyncSession, desktop: Desktop) -> None:
    """Mark a desktop as destroyed: its name is free, its secrets are wiped."""
    desktop.task = None
    desktop.progress = None
    desktop.secrets = ""
    desktop.destroyed_at = utc_now()
    apply(session, desktop, {"status": Status.DESTROYED, "readiness": lights(), "activity": ""})
    emit(session, "desktop.destroyed", desktop)


def emit(session: AsyncSession, kind: str, desktop: Desktop) -> None:
    """Write an event that carries the desktop as it is now."""
    events.emit(
        session,
        kind,
        present.desktop(desktop),
        workspace_id=desktop.workspace_id,
        desktop_id=desktop.id,
    )


def _count_running_time(desktop: Desktop, status: str) -> None:
    if desktop.status == Status.RUNNING:
        desktop.ran_seconds = present.running_seconds(desktop)
    if status == Status.RUNNING:
        desktop.started_at = utc_now()


def _place(desktop_id: str) -> str:
    return f"desktop/{desktop_id}/secrets"
