"""What pages show, ready to be shown: words, tones and sentences made from the JSON of api.md."""

from dataclasses import dataclass, field
from typing import Any

from lebureau_app.errors import MemoryRefused

GIB = 1 << 30
MIB = 1 << 20

TASK_WORDS: dict[str, str] = {
    "creating": "Creating",
    "starting": "Starting",
    "stopping": "Stopping",
    "restarting": "Restarting",
    "hibernating": "Hibernating",
    "destroying": "Destroying",
    "snapshotting": "Taking a snapshot",
    "restoring": "Restoring",
    "reconfiguring": "Reconfiguring",
}
_GOING_DOWN = ("stopping", "restarting", "hibernating", "restoring", "destroying")
_STATUS_TONES = {"running": "ready", "provisioning": "working", "error": "failed"}
_LIGHT_WORDS = {"off": "off", "starting": "starting", "ready": "ready", "failed": "failed"}
_LIGHT_TONES = {"off": "off", "starting": "working", "ready": "ready", "failed": "failed"}
_WAITING = {
    "screen": "The screen is not up yet.",
    "terminal": "The terminal is not up yet.",
    "agent": "The agent is not up yet: it reads your message as soon as it is.",
}


@dataclass(frozen=True)
class ProblemView:
    """An error in place; an empty message means there is none."""

    message: str = ""
    hint: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class NoticeView:
    """What just happened, and what takes it back; `id` tells one from the next.

    Attributes:
        undo: `start`, `stop` or `restore`; empty where there is no way back.
        snapshot_id: What `restore` brings back.
    """

    id: int = 0
    text: str = ""
    desktop_id: str = ""
    undo: str = ""
    snapshot_id: str = ""


@dataclass(frozen=True)
class LightView:
    """How one channel of a desktop is, and why."""

    channel: str
    tone: str
    word: str
    reason: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class DesktopView:
    """A desktop as a row, a tile or a page shows it.

    Attributes:
        tone: Which of the meanings of the look: ready, working, failed, needs, off.
        line: What it is doing, in one line.
        since: When its state began, RFC 3339, or empty.
        percent: Of the step under way, -1 where nobody knows.
        kept: There may be a last picture of its screen, though there is no screen now.
        waking: It is getting up, by a boot or by a resume.
        slow_road: Why it was booted and not resumed; empty if it was not.
        can_upgrade: It is stopped, and there is a newer image.
        refused: Why its memory cannot be resumed; empty if it can.
        parent: The name of the desktop that it is a fork of; empty if it is none.
        stored: What it occupies on disk, in words.
    """

    id: str = ""
    name: str = ""
    tier_id: str = ""
    tier: str = ""
    size: str = ""
    status: str = ""
    tone: str = "off"
    word: str = ""
    line: str = ""
    since: str = ""
    percent: int = -1
    live: bool = False
    kept: bool = False
    picture_note: str = ""
    labels: list[str] = field(default_factory=list)
    agent: str = ""
    usage: str = ""
    busy: bool = False
    waking: bool = False
    running: bool = False
    hibernated: bool = False
    failed: bool = False
    destroyed: bool = False
    can_start: bool = False
    start_word: str = ""
    can_stop: bool = False
    can_restart: bool = False
    can_destroy: bool = False
    can_hibernate: bool = False
    can_snapshot: bool = False
    can_retier: bool = False
    can_upgrade: bool = False
    slow_road: str = ""
    refused: str = ""
    parent_id: str = ""
    parent: str = ""
    stored: str = ""
    screen_ready: bool = False
    screen_waiting: str = ""
    terminal_ready: bool = False
    terminal_waiting: str = ""
    chat_note: str = ""
    chat_closed: bool = False
    lights: list[LightView] = field(default_factory=list)


@dataclass(frozen=True)
class TierView:
    """A tier as a card of the New Computer dialog."""

    id: str
    name: str
    size: str
    price: str
    available: bool
    reason: str


@dataclass(frozen=True)
class StepView:
    """One of the three steps of the first visit."""

    title: str
    tone: str
    word: str
    detail: str
    href: str = ""
    action: str = ""


def desktop(shown: dict[str, Any], parent: str = "", newest_image: str = "") -> DesktopView:
    """A desktop of api.md as pages show it.

    Args:
        shown: The desktop.
        parent: The name of the desktop that it is a fork of, where that is known.
        newest_image: The image that new desktops get, where that matters.
    """
    task, status = shown["task"], shown["status"]
    running = status == "running"
    hibernated = status == "hibernated"
    gone = status == "destroyed"
    idle = not task and not gone
    readiness = shown["readiness"]
    progress = shown["progress"] or {}
    return DesktopView(
        id=shown["id"],
        name=shown["name"],
        tier_id=shown["tier"],
        tier=shown["tier"].capitalize(),
        size=size(shown["vcpus"], shown["memory"], shown["disk"]),
        status=status,
        tone=tone(shown),
        word=word(shown),
        line=line(shown),
        since=(shown["startedAt"] or "") if running and not task else "",
        percent=round(progress["percent"]) if progress.get("percent") is not None else -1,
        live=readiness.get("screen") == "ready",
        kept=status in ("hibernated", "stopped") or (not running and _begins_like_another(shown)),
        picture_note=_picture_note(shown),
        labels=[f"{key}:{value}" for key, value in sorted(shown["labels"].items())],
        agent=shown["agent"],
        usage=usage(shown["usage"]),
        busy=bool(task),
        waking=task in ("creating", "starting", "restarting", "restoring"),
        running=running,
        hibernated=hibernated,
        failed=status == "error",
        destroyed=gone,
        start_word=_start_word(shown),
        can_start=idle and status in ("stopped", "hibernated", "error"),
        can_stop=status in ("running", "error", "provisioning")
        and task not in ("stopping", "destroying"),
        can_restart=idle and running,
        can_destroy=not gone and task != "destroying",
        can_hibernate=idle and running,
        can_snapshot=idle and status in ("running", "stopped", "hibernated"),
        can_retier=idle and status == "stopped",
        can_upgrade=idle and status == "stopped" and newest_image not in ("", shown["image"]),
        slow_road=(shown["originNote"] or "") if running else "",
        refused=refused(shown),
        parent_id=shown["parentId"] or "",
        parent=parent,
        stored=stored(shown["storage"]),
        screen_ready=_is_open(shown, "screen"),
        screen_waiting=_waiting(shown, "screen"),
        terminal_ready=_is_open(shown, "terminal"),
        terminal_waiting=_waiting(shown, "terminal"),
        chat_note=_chat_note(shown),
        chat_closed=shown["agent"] == "none" or not (running or hibernated) or bool(refused(shown)),
        lights=[light(channel, state) for channel, state in readiness.items()],
    )


def refused(shown: dict[str, Any]) -> str:
    """Why the memory of a desktop cannot be resumed; empty where it can, or where it has none."""
    said = shown["statusMessage"] or ""
    kept = shown["status"] == "hibernated" or MemoryRefused.hint in said
    return said if kept and shown["needsAttention"] and not shown["task"] else ""


def word(shown: dict[str, Any]) -> str:
    """What a desktop is, or what is being done to it, in a word."""
    if shown["task"] == "starting" and shown["status"] == "hibernated":
        return "Waking"
    return TASK_WORDS.get(shown["task"] or "") or shown["status"].capitalize()


def _start_word(shown: dict[str, Any]) -> str:
    if refused(shown):
        return "Try again"
    return "Wake" if shown["status"] == "hibernated" else "Start"


def tone(shown: dict[str, Any]) -> str:
    """Which meaning the state of a desktop has."""
    if shown["needsAttention"] and shown["status"] != "error":
        return "needs"
    return "working" if shown["task"] else _STATUS_TONES.get(shown["status"], "off")


def line(shown: dict[str, Any]) -> str:
    """What a desktop is doing, in one line."""
    progress = shown["progress"] or {}
    if shown["task"]:
        return progress.get("message") or progress.get("step") or "Waiting for its turn"
    if shown["status"] in ("error", "stopped", "hibernated") and shown["statusMessage"]:
        return shown["statusMessage"]
    if shown["status"] == "running":
        starting = shown["readiness"]["agent"] == "starting"
        return shown["activity"] or ("The agent is starting" if starting else "Idle")
    return {"stopped": "Its disk is kept", "hibernated": "Wakes on a message"}.get(
        shown["status"], ""
    )


def light(channel: str, state: str, reason: str = "", next_step: str = "") -> LightView:
    """The light of one channel."""
    return LightView(channel, _LIGHT_TONES[state], _LIGHT_WORDS[state], reason, next_step)


def explained(explanation: dict[str, Any]) -> list[LightView]:
    """The lights with their reasons, from the answer of `explain`."""
    return [
        light(each["channel"], each["state"], each["reason"], each["nextStep"])
        for each in explanation["channels"]
    ]


def tier(shown: dict[str, Any]) -> TierView:
    """A tier of api.md as a card."""
    return TierView(
        id=shown["id"],
        name=shown["name"],
        size=size(shown["vcpus"], shown["memory"], shown["disk"]),
        price=price(shown["price"]),
        available=shown["available"],
        reason=shown["reason"] or "",
    )


def size(vcpus: int, memory: int, disk: int) -> str:
    """vCPUs, memory and disk (bytes) in a few words."""
    return f"{vcpus} vCPU · {gigabytes(memory)} memory · {gigabytes(disk)} disk"


def gigabytes(size_in_bytes: int) -> str:
    """Bytes as GB, where a GB is a GiB as in the tiers."""
    amount = size_in_bytes / GIB
    return f"{amount:.0f} GB" if amount >= 10 or amount == int(amount) else f"{amount:.1f} GB"


def amount(size_in_bytes: int) -> str:
    """Bytes as GB, or as MB where that says more."""
    if size_in_bytes < GIB // 10:
        return f"{round(size_in_bytes / MIB)} MB"
    return gigabytes(size_in_bytes)


def stored(storage: dict[str, int]) -> str:
    """What a desktop occupies on disk; what it does not have is left out."""
    shown = [f"{part} {amount(storage[part])}" for part in storage if storage[part]]
    said = " · ".join(shown)
    return said[:1].upper() + said[1:]


def price(money: dict[str, str]) -> str:
    """A monthly price in words."""
    amount = float(money["amount"])
    return f"{money['currency']} {amount:.0f} a month" if amount else "No charge"


def usage(used: dict[str, Any]) -> str:
    """Tokens and cost in a few words; empty where nothing was used."""
    tokens = used["inputTokens"] + used["outputTokens"]
    if not tokens:
        return ""
    cost = used["cost"]
    return f"{tokens:,} tokens · {cost['currency']} {cost['amount']}"


def _begins_like_another(shown: dict[str, Any]) -> bool:
    """Whether the picture of what it goes on from is shown until its own screen is there."""
    return bool(shown["parentId"]) or shown["origin"] == "golden"


def _picture_note(shown: dict[str, Any]) -> str:
    if shown["status"] == "running":
        return "Its screen is coming up" if not shown["task"] else ""
    return {"stopped": "Switched off", "error": "Needs a look", "hibernated": "Hibernated"}.get(
        shown["status"], "Not there yet"
    )


def _is_open(shown: dict[str, Any], channel: str) -> bool:
    """Whether there is a channel to connect to that is not about to close."""
    return shown["readiness"].get(channel) == "ready" and shown["task"] not in _GOING_DOWN


def _waiting(shown: dict[str, Any], channel: str) -> str:
    if shown["task"]:
        progress = shown["progress"] or {}
        return progress.get("message") or word(shown)
    if shown["status"] == "running":
        return _WAITING[channel]
    return refused(shown) or {
        "stopped": f"This desktop is stopped. Start it to have its {channel}.",
        "hibernated": "Hibernated. It wakes where it was.",
        "error": "This desktop has failed. Restart it, or look at its lights for the reason.",
        "destroyed": "This desktop has been destroyed. Its conversation is kept.",
    }.get(shown["status"], "This desktop is being made.")


def _chat_note(shown: dict[str, Any]) -> str:
    if shown["agent"] == "none":
        return "This desktop was made without an agent. Its screen and terminal are all yours."
    if shown["status"] == "destroyed":
        return "This desktop has been destroyed. What was said is kept."
    if shown["status"] == "hibernated" and not refused(shown):
        return _WAITING["agent"] if shown["task"] else "Hibernated: a message wakes it."
    if shown["status"] != "running":
        return "The agent hears you once the desktop runs."
    if shown["readiness"].get("agent") != "ready":
        return _WAITING["agent"]
    return ""


@dataclass(frozen=True)
class ModelKeyView:
    """A provider key as a row: never the key itself."""

    id: str
    name: str
    provider: str
    ending: str
    detail: str
    tone: str
    word: str
    used: str


@dataclass(frozen=True)
class ApiKeyView:
    """An API key as a row."""

    id: str
    name: str
    ending: str
    scopes: str
    created: str
    expires: str
    used: str


@dataclass(frozen=True)
class SessionView:
    """A signed-in browser as a row."""

    id: str
    browser: str
    address: str
    seen: str
    current: bool


@dataclass(frozen=True)
class ImageView:
    """A golden image as a row."""

    id: str
    title: str
    tone: str
    word: str
    detail: str
    created: str
    percent: int


@dataclass(frozen=True)
class HostView:
    """A machine that carries desktops."""

    name: str
    tone: str
    word: str
    accelerator: str
    note: str
    memory: str
    memory_percent: int
    disk: str
    disk_percent: int
    desktops: str


_KEY_TONES = {"valid": "ready", "invalid": "failed", "untested": "off"}
_KEY_WORDS: dict[str, str] = {"valid": "Works", "invalid": "Rejected", "untested": "Not tested"}
_IMAGE_TONES = {"ready": "ready", "failed": "failed", "missing": "off"}
_PROVIDERS: dict[str, str] = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "openrouter": "OpenRouter",
    "openai-compatible": "OpenAI-compatible",
}
_BROWSERS = ("Edg", "Firefox", "Chrome", "Safari")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def model_key(shown: dict[str, Any]) -> ModelKeyView:
    """A provider key of api.md as a row."""
    return ModelKeyView(
        id=shown["id"],
        name=shown["name"],
        provider=_PROVIDERS.get(shown["provider"]) or shown["provider"],
        ending=f"…{shown['last4']}" if shown["last4"] else "no key",
        detail=" · ".join(each for each in (shown["model"], shown["baseUrl"]) if each),
        tone=_KEY_TONES.get(shown["status"], "off"),
        word=_KEY_WORDS.get(shown["status"]) or shown["status"],
        used=day(shown["lastUsedAt"], "never used"),
    )


def api_key(shown: dict[str, Any]) -> ApiKeyView:
    """An API key of api.md as a row."""
    return ApiKeyView(
        id=shown["id"],
        name=shown["name"],
        ending=f"lb_…{shown['last4']}",
        scopes=", ".join(shown["scopes"]),
        created=day(shown["createdAt"]),
        expires=day(shown["expiresAt"], "never"),
        used=day(shown["lastUsedAt"], "never"),
    )


def session(shown: dict[str, Any]) -> SessionView:
    """A session of api.md as a row."""
    agent = shown["userAgent"]
    browser = next((name for name in _BROWSERS if name in agent), "")
    system = next((name for name in _SYSTEMS if name in agent), "")
    named = " on ".join(part for part in ("Edge" if browser == "Edg" else browser, system) if part)
    return SessionView(
        id=shown["id"],
        browser=named or agent[:40] or "A browser",
        address=shown["address"],
        seen=moment(shown["lastSeenAt"]),
        current=shown["current"],
    )


def image(shown: dict[str, Any]) -> ImageView:
    """A golden image of api.md as a row."""
    progress = shown["progress"] or {}
    percent = progress.get("percent")
    detail = shown["error"] or progress.get("message") or progress.get("step") or ""
    size_of = gigabytes(shown["size"]) if shown["size"] else ""
    return ImageView(
        id=shown["id"],
        title=f"{shown['suite'].capitalize()} · {shown['profile']}",
        tone=_IMAGE_TONES.get(shown["status"], "working"),
        word=shown["status"].capitalize(),
        detail=detail or size_of,
        created=day(shown["createdAt"], ""),
        percent=round(percent) if percent is not None else -1,
    )


def host(shown: dict[str, Any]) -> HostView:
    """A host of api.md."""
    return HostView(
        name=shown["name"],
        tone="ready" if shown["online"] else "failed",
        word="Online" if shown["online"] else "Offline",
        accelerator=accelerator(shown["accelerator"]),
        note=shown.get("note") or "",
        memory=f"{gigabytes(shown['memoryFree'])} of {gigabytes(shown['memoryTotal'])} free",
        memory_percent=_used(shown["memoryFree"], shown["memoryTotal"]),
        disk=f"{gigabytes(shown['diskFree'])} of {gigabytes(shown['diskTotal'])} free",
        disk_percent=_used(shown["diskFree"], shown["diskTotal"]),
        desktops=f"{shown['desktops']} running · {shown['vcpus']} vCPU",
    )


def accelerator(name: str) -> str:
    """How the host runs machines, in words."""
    return {
        "kvm": "KVM: full speed",
        "tcg": "TCG: without KVM, several times slower",
    }.get(name, name)


def day(time: str | None, missing: str = "") -> str:
    """The day of an RFC 3339 time."""
    return time[:10] if time else missing


def moment(time: str | None) -> str:
    """An RFC 3339 time to the minute, in UTC."""
    return f"{time[:10]} {time[11:16]} UTC" if time else ""


def _used(free: int, total: int) -> int:
    return round(100 * (total - free) / total) if total else 0
