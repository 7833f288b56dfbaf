"""Rows as the JSON of api.md. REST, events and pages all show these."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from lebureau_app.models import (
    ApiKey,
    Conversation,
    Desktop,
    Message,
    Operation,
    ProviderKey,
    Run,
    Session,
    Snapshot,
    Status,
    User,
    Workspace,
    utc_now,
)
from lebureau_app.providers.base import Host
from lebureau_app.services.idleness import hibernates_at
from lebureau_app.services.tiers import Tier


def time(value: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC with whole seconds, or None."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def money(amount: Decimal, currency: str) -> dict[str, str]:
    """Money as a decimal string with at least two places, and an ISO 4217 currency."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return {"amount": f"{amount:.{places}f}", "currency": currency}


def usage(input_tokens: int, output_tokens: int, cost: Decimal) -> dict[str, Any]:
    """Tokens and what they cost in USD."""
    return {
        "inputTokens": input_tokens,
        "outputTokens": output_tokens,
        "cost": money(cost, "USD"),
    }


def user(row: User) -> dict[str, Any]:
    """A person."""
    return {"id": row.id, "email": row.email, "createdAt": time(row.created_at)}


def workspace(row: Workspace, role: str) -> dict[str, Any]:
    """A workspace, with the caller's role in it."""
    return {
        "id": row.id,
        "name": row.name,
        "role": role,
        "hibernateAfter": row.hibernate_after,
        "createdAt": time(row.created_at),
    }


def session(row: Session, current: bool) -> dict[str, Any]:
    """A signed-in browser."""
    return {
        "id": row.id,
        "current": current,
        "address": row.address,
        "userAgent": row.user_agent,
        "createdAt": time(row.created_at),
        "lastSeenAt": time(row.last_seen_at),
        "expiresAt": time(row.expires_at),
    }


def tier(row: Tier, reason: str | None) -> dict[str, Any]:
    """A tier; `reason` says why the host cannot carry it now, or is None."""
    return {
        "id": row.id,
        "name": row.name,
        "vcpus": row.vcpus,
        "memory": row.memory,
        "disk": row.disk,
        "price": money(row.price, "EUR"),
        "available": reason is None,
        "reason": reason,
    }


def desktop(row: Desktop) -> dict[str, Any]:
    """A desktop."""
    return {
        "id": row.id,
        "name": row.name,
        "workspaceId": row.workspace_id,
        "tier": row.tier,
        "status": row.status,
        "task": row.task,
        "statusMessage": row.status_message,
        "progress": row.progress,
        "readiness": {channel: light["state"] for channel, light in row.readiness.items()},
        "provider": row.provider,
        "image": row.image,
        "origin": row.origin,
        "originNote": row.origin_note or None,
        "parentId": row.parent_id,
        "agent": row.agent,
        "vcpus": row.vcpus,
        "memory": row.memory,
        "disk": row.disk,
        "providerKeys": row.provider_keys,
        "activity": row.activity,
        "needsAttention": row.needs_attention,
        "labels": row.labels,
        "createdAt": time(row.created_at),
        "startedAt": time(row.started_at),
        "lastActiveAt": time(row.last_active_at),
        "hibernateAfter": row.hibernate_after,
        "hibernatesAt": time(hibernates_at(row)),
        "awakeUntil": time(row.awake_until),
        "runningSeconds": running_seconds(row),
        "storage": row.storage,
        "usage": usage(row.input_tokens, row.output_tokens, row.cost),
    }


def running_seconds(row: Desktop) -> int:
    """How long a desktop has run in all, in whole seconds."""
    now = 0
    if row.status == Status.RUNNING and row.started_at:
        now = int((utc_now() - row.started_at).total_seconds())
    return row.ran_seconds + max(0, now)


def snapshot(row: Snapshot) -> dict[str, Any]:
    """The kept state of a desktop."""
    path = f"/api/desktops/{row.desktop_id}/snapshots/{row.id}/picture"
    return {
        "id": row.id,
        "desktopId": row.desktop_id,
        "name": row.name,
        "kind": row.kind,
        "status": row.status,
        "memory": row.memory,
        "size": row.size,
        "picture": path if row.pictured else None,
        "tier": row.tier,
        "note": row.note,
        "createdAt": time(row.created_at),
    }


def operation(row: Operation) -> dict[str, Any]:
    """A journalled change of a desktop."""
    return {
        "id": row.id,
        "desktopId": row.desktop_id,
        "kind": row.kind,
        "status": row.status,
        "step": row.step,
        "attempt": row.attempt,
        "error": row.error,
        "createdAt": time(row.created_at),
        "endedAt": time(row.ended_at),
        "actor": row.actor,
    }


def conversation(row: Conversation) -> dict[str, Any]:
    """A thread of messages."""
    return {
        "id": row.id,
        "workspaceId": row.workspace_id,
        "desktopId": row.desktop_id,
        "title": row.title,
        "createdAt": time(row.created_at),
        "lastMessageAt": time(row.last_message_at),
    }


def message(row: Message) -> dict[str, Any]:
    """A message."""
    return {
        "id": row.id,
        "conversationId": row.conversation_id,
        "desktopId": row.desktop_id,
        "runId": row.run_id,
        "role": row.role,
        "text": row.text,
        "toolCalls": row.tool_calls,
        "status": row.status,
        "usage": row.usage,
        "createdAt": time(row.created_at),
    }


def run(row: Run) -> dict[str, Any]:
    """The agent at work on one message."""
    return {
        "id": row.id,
        "desktopId": row.desktop_id,
        "conversationId": row.conversation_id,
        "status": row.status,
        "error": row.error,
        "usage": row.usage,
        "reply": row.reply,
        "startedAt": time(row.started_at),
        "endedAt": time(row.ended_at),
    }


def provider_key(row: ProviderKey) -> dict[str, Any]:
    """A provider key: never the key itself."""
    return {
        "id": row.id,
        "name": row.name,
        "provider": row.provider,
        "last4": row.last4,
        "baseUrl": row.base_url,
        "model": row.model,
        "workspaceId": row.workspace_id,
        "createdAt": time(row.created_at),
        "lastUsedAt": time(row.last_used_at),
        "status": row.status,
    }


def api_key(row: ApiKey, secret: str | None = None) -> dict[str, Any]:
    """An API key; the secret only in the answer to its making."""
    shown = {
        "id": row.id,
        "name": row.name,
        "last4": row.last4,
        "scopes": row.scopes,
        "createdAt": time(row.created_at),
        "expiresAt": time(row.expires_at),
        "lastUsedAt": time(row.last_used_at),
    }
    return {**shown, "key": secret} if secret else shown


def host(row: Host) -> dict[str, Any]:
    """A machine that carries desktops."""
    return {
        "name": row.name,
        "provider": row.provider,
        "online": row.online,
        "accelerator": row.accelerator,
        "vcpus": row.vcpus,
        "memoryTotal": row.memory_total,
        "memoryFree": row.memory_free,
        "diskTotal": row.disk_total,
        "diskFree": row.disk_free,
        "desktops": row.desktops,
        "note": row.note,
    }
