"""Desktops: what people ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from lebureau_app import db
from lebureau_app.errors import (
    Conflict,
    DesktopBusy,
    DesktopNotRunning,
    Invalid,
    NameTaken,
    TooManySnapshots,
)
from lebureau_app.models import (
    CHANNELS,
    Desktop,
    Light,
    ProviderKey,
    Role,
    Status,
    Task,
    Workspace,
    utc_now,
)
from lebureau_app.providers.base import Hibernate, Upgrade
from lebureau_app.services import (
    desktop_state,
    hosts,
    images,
    intents,
    names,
    operations,
    present,
    snapshots,
    tiers,
    waking,
)
from lebureau_app.services.access import Caller, visible
from lebureau_app.services.live import live
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page
from lebureau_app.services.tiers import Tier

_MOST_LABELS = 32
_NOT_CHECKED = "This part of the desktop has not answered yet."

UNSET: Final[Any] = object()

AGENTS = ("openclaw", "none")

NEXT_STEPS = {
    Light.OFF: "Start the desktop.",
    Light.STARTING: "Wait: it is tried again by itself.",
    Light.READY: "Nothing to do.",
    Light.FAILED: "Restart the desktop. If that does not help, look at its log.",
}


@dataclass(frozen=True, slots=True)
class NewDesktop:
    """What a caller asks for; what is left out has sensible defaults."""

    name: str | None = None
    workspace_id: str | None = None
    tier: str = "free"
    labels: Mapping[str, str] = field(default_factory=dict)
    provider_keys: list[str] | None = None
    agent: str = "openclaw"
    image: str | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a caller wants to be different; UNSET leaves a thing as it is.

    Attributes:
        image: Id of the golden image that it shall be on.
        snapshot: Take a snapshot before the tier or the image changes, to go back to.
        hibernate_after: Idle seconds; 0 never, None as the workspace says.
    """

    name: str = UNSET
    labels: Mapping[str, str] = UNSET
    tier: str = UNSET
    image: str = UNSET
    snapshot: bool = False
    provider_keys: list[str] | None = UNSET
    hibernate_after: int | None = UNSET


# Reading


async def list_desktops(
    caller: Caller,
    *,
    workspace_id: str | None = None,
    status: str | None = None,
    q: str | None = None,
    labels: Mapping[str, str] | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Desktop]:
    """The caller's desktops, newest first; destroyed ones only when asked for by status.

    Args:
        caller: Who asks.
        workspace_id: Only of this workspace.
        status: Only of this status.
        q: Part of a name, in any case.
        labels: Labels that must be there.
        limit: Rows a page.
        cursor: Where the page begins.
    """
    caller.need_scope("read")
    query = visible(select(Desktop), Desktop, caller)
    query = query.where(Desktop.status == status if status else Desktop.status != Status.DESTROYED)
    if workspace_id:
        query = query.where(Desktop.workspace_id == workspace_id)
    if q:
        query = query.where(col(Desktop.name).icontains(q, autoescape=True))
    for key, value in (labels or {}).items():
        query = query.where(col(Desktop.labels)[key].as_string() == value)
    async with db.reading() as session:
        return await page(session, query, Desktop, limit=limit, cursor=cursor)


async def needing_a_person(caller: Caller, *, limit: int = DEFAULT_LIMIT) -> list[Desktop]:
    """The caller's desktops that wait for a person or have failed, newest first."""
    caller.need_scope("read")
    query = visible(select(Desktop), Desktop, caller).where(
        Desktop.status != Status.DESTROYED,
        or_(col(Desktop.needs_attention).is_(True), col(Desktop.status) == Status.ERROR),
    )
    async with db.reading() as session:
        return list(await session.exec(query.order_by(col(Desktop.id).desc()).limit(limit)))


async def get(caller: Caller, desktop_id: str) -> Desktop:
    """One desktop, destroyed ones too.

    Raises:
        DesktopNotFound: There is none that the caller may see.
    """
    caller.need_scope("read")
    async with db.reading() as session:
        return await desktop_state.find(session, caller, desktop_id)


async def count_by_status() -> dict[str, int]:
    """How many desktops there are of each status."""
    async with db.reading() as session:
        rows = await session.exec(select(Desktop.status, func.count()).group_by(Desktop.status))
        return dict(rows.all())


async def explain(caller: Caller, desktop_id: str) -> dict[str, Any]:
    """Why each light is what it is, and the next step."""
    desktop = await get(caller, desktop_id)
    current = await operations.current(desktop_id)
    return {
        "id": desktop.id,
        "status": desktop.status,
        "task": desktop.task,
        "message": desktop.status_message,
        "channels": [_explained(desktop, channel) for channel in CHANNELS],
        "operation": present.operation(current) if current else None,
    }


# Changing


async def create(caller: Caller, new: NewDesktop) -> Desktop:
    """Write a new desktop and the operation that makes it; returns at once.

    Raises:
        Invalid: A value is wrong; `fields` says which.
        NameTaken: A living desktop of the workspace has that name.
        NoCapacity: No host can carry it.
    """
    caller.need_scope("write")
    workspace_id = caller.only_workspace(new.workspace_id)
    caller.need_role(workspace_id, Role.OPERATOR)
    tier = tiers.tier(new.tier)
    _check_values(new)
    desktop = Desktop(
        workspace_id=workspace_id,
        name=new.name or "",
        tier=tier.id,
        task=Task.CREATING,
        labels=dict(new.labels),
        provider=hosts.provider().name,
        image=new.image or "",
        agent=new.agent,
        vcpus=tier.vcpus,
        memory=tier.memory,
        disk=tier.disk,
        provider_keys=new.provider_keys,
        created_by=caller.user_id,
    )
    await hosts.check(desktop_state.spec_of(desktop, ""))
    desktop.secrets = desktop_state.new_secrets(desktop.id)
    try:
        async with db.writing() as session:
            await _check_provider_keys(session, workspace_id, new.provider_keys)
            free = await names.free(session, workspace_id, "desktop-{:02}")
            desktop.name = new.name or free[0]
            await _follow_rule(session, desktop)
            session.add(desktop)
            await session.flush()
            operations.enqueue(session, desktop, "create", caller.email)
            desktop_state.emit(session, "desktop.created", desktop)
    except IntegrityError as error:
        raise _name_taken() from error
    live().wake()
    return desktop


async def change(caller: Caller, desktop_id: str, changes: Changes) -> Desktop:
    """Rename, relabel, choose provider keys, when to hibernate; while stopped, its tier or image.

    Of a desktop on another image only the home folder is carried over.

    Raises:
        Invalid: A value is wrong; `fields` says which.
        NameTaken: A living desktop of the workspace has that name.
        Conflict: The tier or the image of a desktop that is not stopped, or has never run.
        TooManySnapshots: There is no room for the snapshot before it.
    """
    caller.need_scope("write")
    tier = None if changes.tier is UNSET else tiers.tier(changes.tier)
    if changes.image is not UNSET:
        _check_image(changes.image, changes.tier)
    if changes.snapshot and (tier or changes.image is not UNSET):
        await snapshots.refuse_without_room(await snapshots.read_original(caller, desktop_id))
    try:
        async with intents.changing(caller, desktop_id) as (session, desktop):
            if changes.name is not UNSET:
                names.check(changes.name)
                desktop.name = changes.name
            if changes.labels is not UNSET:
                _check_labels(changes.labels)
                desktop.labels = dict(changes.labels)
            if changes.provider_keys is not UNSET:
                await _check_provider_keys(session, desktop.workspace_id, changes.provider_keys)
                desktop.provider_keys = changes.provider_keys
            if changes.hibernate_after is not UNSET:
                desktop.hibernate_after = changes.hibernate_after
                desktop.last_active_at = utc_now()
                await _follow_rule(session, desktop)
            if tier and tier.id != desktop.tier:
                await _retier(session, desktop, tier, caller, snapshot=changes.snapshot)
            if changes.image not in (UNSET, desktop.image):
                await _upgrade(session, desktop, changes.image, caller, snapshot=changes.snapshot)
            intents.updated(session, desktop)
            await session.flush()
    except IntegrityError as error:
        raise _name_taken() from error
    if changes.provider_keys is not UNSET:
        live().keys_changed(desktop.workspace_id)
    return desktop


async def start(caller: Caller, desktop_id: str, *, cold: bool = False) -> Desktop:
    """Have a desktop run. One that runs, or is about to, is left alone.

    Args:
        caller: Who wants it; an operator.
        desktop_id: Which desktop.
        cold: Boot, and give up the memory that a hibernated one has kept.
    """
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        intents.refuse_if_going(pending)
        last = intents.deciding(pending)
        if last and last.kind == "start" and cold:
            last.params = {**last.params, "cold": True}
            session.add(last)
        if last and last.kind in ("create", "start", "restart"):
            return desktop
        if last is None and desktop.status == Status.RUNNING:
            return desktop
        if last and last.kind == "hibernate" and not cold:
            await waking.wake(session, desktop, caller.email)
            return desktop
        desktop.desired_status = Status.RUNNING
        params = {"cold": True} if cold else None
        intents.enqueue(session, desktop, "start", caller.email, params, first=not pending)
    return desktop


async def stop(caller: Caller, desktop_id: str, *, force: bool = False) -> Desktop:
    """Have a desktop shut down, or with `force` pull its plug; snapshots are taken before."""
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        intents.refuse_if_going(pending)
        last = intents.deciding(pending)
        if last and last.kind == "stop":
            if force and not last.params.get("force"):
                last.params = {**last.params, "force": True}
                session.add(last)
            return desktop
        if last is None and desktop.status in (Status.STOPPED, Status.HIBERNATED):
            return desktop
        desktop.desired_status = Status.STOPPED
        moot = [each for each in pending if each.kind not in ("snapshot", "fork")]
        intents.supersede(session, moot)
        intents.enqueue(session, desktop, "stop", caller.email, {"force": force})
    return desktop


async def restart(caller: Caller, desktop_id: str) -> Desktop:
    """Shut a running desktop down and start it again.

    Raises:
        DesktopNotRunning: It is not running.
        DesktopBusy: Something else is being done to it.
    """
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        if pending and pending[-1].kind == "restart":
            return desktop
        intents.refuse_if_busy(pending)
        if desktop.status not in (Status.RUNNING, Status.ERROR):
            raise DesktopNotRunning
        desktop.desired_status = Status.RUNNING
        intents.enqueue(session, desktop, "restart", caller.email)
    return desktop


async def hibernate(caller: Caller, desktop_id: str) -> Desktop:
    """Have a running desktop give its memory back and keep what is in it, a run of its agent too.

    Raises:
        DesktopNotRunning: It is not running.
        DesktopBusy: Something else is being done to it.
        Conflict: The provider cannot do that.
    """
    hosts.need(Hibernate, "hibernate")
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        intents.refuse_if_going(pending)
        last = intents.deciding(pending)
        if last and last.kind == "hibernate":
            return desktop
        if last:
            raise DesktopBusy
        if desktop.status == Status.HIBERNATED:
            return desktop
        if desktop.status != Status.RUNNING:
            raise DesktopNotRunning
        desktop.desired_status = Status.HIBERNATED
        intents.enqueue(session, desktop, "hibernate", caller.email, first=not pending)
    return desktop


async def keep_awake(caller: Caller, desktop_id: str, seconds: int) -> Desktop:
    """Let a running desktop not hibernate by itself for a while; one that is about to, stays.

    Raises:
        DesktopNotRunning: It is not running.
    """
    async with intents.changing(caller, desktop_id) as (session, desktop):
        if desktop.status != Status.RUNNING:
            raise DesktopNotRunning
        pending = await operations.pending(session, desktop_id)
        last = intents.deciding(pending)
        if last and last.kind == "hibernate":
            intents.supersede(session, [last])
            desktop.desired_status = Status.RUNNING
        desktop.awake_until = utc_now() + timedelta(seconds=seconds)
        intents.updated(session, desktop)
    return desktop


async def destroy(caller: Caller, desktop_id: str) -> Desktop:
    """Remove a desktop with its disk. What was said stays readable."""
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        if pending and pending[-1].kind == "destroy":
            return desktop
        desktop.desired_status = Status.DESTROYED
        intents.supersede(session, pending)
        intents.enqueue(session, desktop, "destroy", caller.email)
    return desktop


async def cancel(caller: Caller, desktop_id: str) -> Desktop:
    """Stop what is being done to a desktop, where that can still be stopped.

    Raises:
        Conflict: It is being destroyed, which cannot be taken back.
    """
    async with intents.changing(caller, desktop_id) as (session, desktop):
        pending = await operations.pending(session, desktop_id)
        if any(each.kind == "destroy" for each in pending):
            raise Conflict(
                "A desktop that is being destroyed cannot be taken back.",
                hint="Create a new one; the conversation is kept.",
            )
        intents.supersede(session, pending)
    return desktop


# Private


async def _retier(
    session: AsyncSession, desktop: Desktop, tier: Tier, caller: Caller, *, snapshot: bool
) -> None:
    _must_be_stopped(desktop, "tier")
    if tier.disk < desktop.disk:
        raise Invalid(
            "A disk cannot shrink.",
            fields={"tier": f"{tier.name} has a smaller disk than this desktop already has."},
        )
    size = {"tier": tier.id, "vcpus": tier.vcpus, "memory": tier.memory, "disk": tier.disk}
    note = f"Before changing the tier to {tier.name}" if snapshot and desktop.ref else ""
    await _reconfigure(session, desktop, "reconfigure", size, caller, note)


async def _upgrade(
    session: AsyncSession, desktop: Desktop, image: str, caller: Caller, *, snapshot: bool
) -> None:
    hosts.need(Upgrade, "be put on another image")
    _must_be_stopped(desktop, "image")
    if not desktop.ref:
        raise Conflict(
            "This desktop has never run: there is nothing to carry over to another image.",
            hint="Start it and stop it first.",
        )
    note = f"Before changing the image to {image}" if snapshot else ""
    await _reconfigure(session, desktop, "upgrade", {"image": image}, caller, note)


def _must_be_stopped(desktop: Desktop, what: str) -> None:
    if desktop.status == Status.STOPPED and not desktop.task:
        return
    asleep = desktop.status == Status.HIBERNATED
    raise Conflict(
        f"The {what} can be changed only while the desktop is stopped.",
        hint=f"{'Wake it first, then stop' if asleep else 'Stop'} it, change the {what}, "
        "start it again.",
    )


async def _reconfigure(
    session: AsyncSession,
    desktop: Desktop,
    kind: str,
    wanted: dict[str, Any],
    caller: Caller,
    note: str,
) -> None:
    """Have a stopped desktop become what is wanted.

    Args:
        session: The open transaction.
        desktop: As it is.
        kind: One of `operations.TASKS`.
        wanted: Columns and what they become.
        caller: Who wants it.
        note: What the snapshot is called that undoes it; empty for none.

    Raises:
        TooManySnapshots: There is no room for that.
    """
    before = {column: getattr(desktop, column) for column in wanted}
    params: dict[str, Any] = {"wanted": wanted, "before": before}
    if note:
        undo = await snapshots.keep_automatically(session, desktop, note, caller)
        if undo is None:
            raise TooManySnapshots
        params["undo"] = undo.id
    for column, value in wanted.items():
        setattr(desktop, column, value)
    intents.enqueue(session, desktop, kind, caller.email, params, first=False)


async def _follow_rule(session: AsyncSession, desktop: Desktop) -> None:
    """Have a desktop hibernate as it is told, or else as its workspace is."""
    workspace = await session.get_one(Workspace, desktop.workspace_id)
    own = desktop.hibernate_after
    desktop.idle_after = workspace.hibernate_after if own is None else own


def _check_values(new: NewDesktop) -> None:
    if new.name is not None:
        names.check(new.name)
    _check_labels(new.labels)
    if new.agent not in AGENTS:
        raise Invalid("There is no such agent.", fields={"agent": "One of: openclaw, none."})
    if new.provider is not None and new.provider != hosts.provider().name:
        raise Invalid(
            "That provider is not set up here.",
            fields={"provider": f"This server runs `{hosts.provider().name}`."},
        )
    if new.image is not None:
        _check_image(new.image)


def _check_image(image: str, tier: str = UNSET) -> None:
    if tier is not UNSET:
        raise Invalid(
            "Tier and image change one after the other.",
            fields={"image": "Leave it out, and ask for it when the tier has changed."},
        )
    if image not in {each.id for each in images.ready()}:
        raise Invalid(
            "There is no such image.", fields={"image": "GET /api/images lists what there is."}
        )


def _check_labels(labels: Mapping[str, str]) -> None:
    fits = len(labels) <= _MOST_LABELS and all(
        0 < len(key) <= 63 and len(value) <= 63 and (key + value).isprintable()
        for key, value in labels.items()
    )
    if not fits:
        raise Invalid(
            "Those labels cannot be used.",
            fields={"labels": f"At most {_MOST_LABELS}, names and values of 63 characters."},
        )


async def _check_provider_keys(
    session: AsyncSession, workspace_id: str, key_ids: list[str] | None
) -> None:
    if not key_ids:
        return
    query = select(ProviderKey.id).where(ProviderKey.workspace_id == workspace_id)
    unknown = set(key_ids) - set(await session.exec(query))
    if unknown:
        raise Invalid(
            "A provider key is not there.",
            fields={"providerKeys": f"Not in this workspace: {', '.join(sorted(unknown))}."},
        )


def _explained(desktop: Desktop, channel: str) -> dict[str, Any]:
    light = desktop.readiness[channel]
    state = Light(light["state"])
    reason = (
        light["reason"]
        or {
            Light.OFF: f"The desktop is {desktop.status}.",
            Light.STARTING: _NOT_CHECKED,
            Light.READY: "It answers.",
            Light.FAILED: "It does not answer.",
        }[state]
    )
    asleep = desktop.status == Status.HIBERNATED and state == Light.OFF
    step = "Use it or start it: it wakes as it was." if asleep else NEXT_STEPS[state]
    return {"channel": channel, "state": state, "reason": reason, "nextStep": step}


def _name_taken() -> NameTaken:
    return NameTaken(
        "A desktop of this workspace has that name.", fields={"name": "Choose another."}
    )
