"""What clients send, in camelCase. Unknown fields are refused, so that a typing error is seen."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from lebureau_app.services import forks
from lebureau_app.services.access import Scope


def _clean(value: Any) -> Any:
    """Refuse NUL characters, which no database of ours stores."""
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("NUL characters are not allowed.")
    return value


def _a_minute_at_least(seconds: int) -> int:
    """Refuse rules by which a desktop would hardly be awake."""
    if 0 < seconds < MINUTE:
        raise ValueError("0 for never, or at least 60 seconds.")
    return seconds


MINUTE, WEEK, MONTH = 60, 7 * 86400, 30 * 86400

Text = Annotated[str, BeforeValidator(_clean)]
Line = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}_[0-9a-z]{26}$")]
IdleSeconds = Annotated[int, Field(ge=0, le=MONTH), AfterValidator(_a_minute_at_least)]
Secret = Annotated[SecretStr, BeforeValidator(_clean), Field(max_length=5000)]


class Payload(BaseModel):
    """A request's body."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", hide_input_in_errors=True, protected_namespaces=()
    )

    @classmethod
    def as_form(cls) -> dict[str, Any]:
        """The OpenAPI entry of a body that is taken as a form and as JSON alike."""
        schema = cls.model_json_schema()
        kinds = ("application/json", "application/x-www-form-urlencoded")
        content = {kind: {"schema": schema} for kind in kinds}
        return {"requestBody": {"required": True, "content": content}}


class SignIn(Payload):
    """Who signs in, and where to go then."""

    email: Text = Field(max_length=254)
    password: Secret
    next: Text = Field(default="/", max_length=2000)


class SetUp(Payload):
    """The first account, with the token of the set-up link."""

    token: Secret
    email: Text = Field(max_length=254)
    password: Secret


class PasswordChange(Payload):
    """The caller's own password, old and new."""

    current_password: Secret
    new_password: Secret


class NewApiKey(Payload):
    """An API key to make; without `scopes` it may do what its maker may."""

    name: Line
    scopes: list[Scope] | None = Field(default=None, max_length=3)
    expires_at: AwareDatetime | None = None


class NewProviderKey(Payload):
    """A provider key to keep."""

    name: Line
    provider: Text = Field(max_length=40)
    key: Secret = SecretStr("")
    workspace_id: Id | None = None
    base_url: Text | None = Field(default=None, max_length=500)
    model: Text | None = Field(default=None, max_length=200)


class RotatedKey(Payload):
    """The new secret of a provider key."""

    key: Secret


class DesktopRequest(Payload):
    """A desktop to create; everything may be left out."""

    name: Text | None = None
    workspace_id: Id | None = None
    tier: Text = "free"
    labels: dict[Text, Text] = Field(default_factory=dict)
    provider_keys: list[Id] | None = Field(default=None, max_length=20)
    agent: Text = "openclaw"
    image: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,99}$")] | None = None
    provider: Text | None = None


class DesktopChange(Payload):
    """What is to be different about a desktop; what is left out stays.

    Attributes:
        image: Id of a ready golden image.
        snapshot: Take a snapshot before the tier or the image changes.
        hibernate_after: Idle seconds; 0 never, null as the workspace says.
    """

    name: Text = ""
    labels: dict[Text, Text] = Field(default_factory=dict)
    tier: Text = ""
    image: Text = ""
    snapshot: bool = False
    provider_keys: list[Id] | None = Field(default=None, max_length=20)
    hibernate_after: IdleSeconds | None = None


class WorkspaceChange(Payload):
    """After how many idle seconds desktops hibernate that have no rule of their own; 0 never."""

    hibernate_after: IdleSeconds


class Start(Payload):
    """How to start; `cold` gives up the memory that a hibernated desktop has kept."""

    cold: bool = False


class KeepAwake(Payload):
    """For how many seconds a desktop does not hibernate by itself."""

    seconds: int = Field(default=3600, ge=MINUTE, le=WEEK)


class SnapshotRequest(Payload):
    """A snapshot to take; without `name` one is made up."""

    name: Line | None = None


class ForkRequest(Payload):
    """How many desktops to make of one; their names are the prefix with a number."""

    count: int = Field(default=1, ge=1, le=forks.MOST)
    name_prefix: Text | None = None


class Stop(Payload):
    """How to stop."""

    force: bool = False


class Chat(Payload):
    """A message for the agent.

    Attributes:
        wait: Seconds to wait for the end of the run before answering.
    """

    message: Text
    conversation_id: Id | None = None
    wait: int | None = Field(default=None, ge=1, le=300)


class Exec(Payload):
    """A command for `bash -lc`; `timeout` in seconds."""

    command: Text = Field(min_length=1, max_length=100_000)
    timeout: int = Field(default=30, ge=1, le=600)


class TicketRequest(Payload):
    """What a ticket is for; without `mode`, what the caller's role allows."""

    channel: Literal["vnc", "terminal"]
    mode: Literal["control", "view"] | None = None


class Empty(Payload):
    """No values."""
