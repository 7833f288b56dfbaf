"""What clients get back, for the OpenAPI document. `services.present` makes it; a test holds the two
together.
"""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Light = Literal["off", "starting", "ready", "failed"]
Item = TypeVar("Item")


class Shape(BaseModel):
    """An answer."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", protected_namespaces=())


class Listing(Shape, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None


class Money(Shape):
    """A decimal string and an ISO 4217 currency."""

    amount: str
    currency: str


class Usage(Shape):
    """Tokens and what they cost."""

    input_tokens: int
    output_tokens: int
    cost: Money


class Progress(Shape):
    """The step that is being carried out."""

    step: str
    percent: int | None
    message: str


class User(Shape):
    """A person."""

    id: str
    email: str
    created_at: str


class SignedIn(Shape):
    """Who has been signed in."""

    user: User


class Workspace(Shape):
    """A workspace, with the caller's role; its idle desktops hibernate after so many seconds."""

    id: str
    name: str
    role: Literal["owner", "operator", "viewer"]
    hibernate_after: int
    created_at: str


class Me(Shape):
    """Who is calling."""

    user: User
    workspaces: list[Workspace]
    scopes: list[Literal["read", "write", "admin"]]


class Session(Shape):
    """A signed-in browser."""

    id: str
    current: bool
    address: str
    user_agent: str
    created_at: str
    last_seen_at: str
    expires_at: str


class Tier(Shape):
    """A size and its price; memory and disk in bytes."""

    id: str
    name: str
    vcpus: int
    memory: int
    disk: int
    price: Money
    available: bool
    reason: str | None


class Host(Shape):
    """A machine that carries desktops; memory and disk in bytes."""

    name: str
    provider: str
    online: bool
    accelerator: str
    vcpus: int
    memory_total: int
    memory_free: int
    disk_total: int
    disk_free: int
    desktops: int
    note: str


class Golden(Shape):
    """The golden machine of a tier, whose memory new desktops resume; size in bytes."""

    tier: str
    status: Literal["ready", "making", "waiting", "failed"]
    progress: Progress | None
    size: int | None
    error: str | None


class Image(Shape):
    """A golden image; size in bytes."""

    id: str
    suite: str
    profile: str
    status: Literal["ready", "building", "failed"]
    current: bool
    progress: Progress | None
    size: int | None
    created_at: str | None
    error: str | None
    hint: str | None
    goldens: list[Golden]


class Readiness(Shape):
    """One light for each channel."""

    machine: Light
    ssh: Light
    screen: Light
    terminal: Light
    agent: Light


class Storage(Shape):
    """What a desktop occupies on disk, in bytes."""

    disk: int
    memory: int
    snapshots: int


class Desktop(Shape):
    """A desktop; memory and disk in bytes."""

    id: str
    name: str
    workspace_id: str
    tier: str
    status: Literal["provisioning", "running", "stopped", "hibernated", "error", "destroyed"]
    task: str | None
    status_message: str | None
    progress: Progress | None
    readiness: Readiness
    provider: str
    image: str
    origin: Literal["boot", "golden", "fork", "snapshot", "hibernation"]
    origin_note: str | None
    parent_id: str | None
    agent: str
    vcpus: int
    memory: int
    disk: int
    provider_keys: list[str] | None
    activity: str
    needs_attention: bool
    labels: dict[str, str]
    created_at: str
    started_at: str | None
    last_active_at: str | None
    hibernate_after: int | None
    hibernates_at: str | None
    awake_until: str | None
    running_seconds: int
    storage: Storage
    usage: Usage


class Snapshot(Shape):
    """The kept state of a desktop; size in bytes."""

    id: str
    desktop_id: str
    name: str
    kind: Literal["manual", "automatic"]
    status: Literal["creating", "ready", "failed", "deleting"]
    memory: bool
    size: int
    picture: str | None
    tier: str
    note: str
    created_at: str


class Operation(Shape):
    """One journalled change of a desktop."""

    id: str
    desktop_id: str
    kind: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    step: str
    attempt: int
    error: dict[str, Any] | None
    created_at: str
    ended_at: str | None
    actor: str


class ExplainedChannel(Shape):
    """Why a light is what it is."""

    channel: str
    state: Light
    reason: str
    next_step: str


class Explanation(Shape):
    """Why each light of a desktop is what it is."""

    id: str
    status: str
    task: str | None
    message: str | None
    channels: list[ExplainedChannel]
    operation: Operation | None


class Message(Shape):
    """A message."""

    id: str
    conversation_id: str
    desktop_id: str
    run_id: str | None
    role: Literal["user", "assistant", "tool", "system"]
    text: str
    tool_calls: list[dict[str, Any]]
    status: str
    usage: Usage | None
    created_at: str


class Run(Shape):
    """The agent at work on one message."""

    id: str
    desktop_id: str
    conversation_id: str
    status: Literal["queued", "running", "waiting_approval", "done", "failed", "aborted"]
    error: dict[str, Any] | None
    usage: Usage | None
    reply: str | None
    started_at: str | None
    ended_at: str | None


class Taken(Shape):
    """A message that was taken; `run` where the answer waited for it."""

    message: Message
    conversation_id: str
    run_id: str
    run: Run | None = None


class Aborted(Shape):
    """The run that is being stopped, if there was one."""

    run: Run | None


class Conversation(Shape):
    """A thread of messages."""

    id: str
    workspace_id: str
    desktop_id: str
    title: str
    created_at: str
    last_message_at: str


class Executed(Shape):
    """How a command ended."""

    exit_code: int | None
    stdout: str
    stderr: str
    truncated: bool
    timed_out: bool


class Ticket(Shape):
    """A one-use pass."""

    ticket: str
    url: str
    expires_at: str


class ProviderKey(Shape):
    """A provider key: never the key itself."""

    id: str
    name: str
    provider: str
    last4: str
    base_url: str | None
    model: str | None
    workspace_id: str
    created_at: str
    last_used_at: str | None
    status: Literal["untested", "valid", "invalid"]


class Tested(Shape):
    """Whether a provider key works."""

    ok: bool
    error: str | None


class ApiKey(Shape):
    """An API key; `key` only in the answer to its making."""

    id: str
    name: str
    last4: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    key: str | None = None


def shows(shape: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer.

    Args:
        shape: A Shape, or a Listing of one.
        status: With which it comes.
    """
    return {status: {"model": shape}}
