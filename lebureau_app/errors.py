"""One tree of errors: each has a stable code, an HTTP status, a sentence and a next step."""

from typing import Any


class LeBureauError(Exception):
    """The root of every error that a person may read.

    Args:
        message: What happened and why, for a person. Defaults to the class's own sentence.
        hint: What to do next. Defaults to the class's own hint.
        fields: JSON field name to its message, for wrong values.
    """

    code = "internal_error"
    status = 500
    message = "Something went wrong inside Le Bureau."
    hint = "Try again. If it happens again, look in the server log for this request id."

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        self.message = message or type(self).message
        self.hint = hint or type(self).hint
        self.fields = fields or {}
        super().__init__(self.message)

    def body(self, request_id: str) -> dict[str, Any]:
        """The one JSON shape of an error.

        Args:
            request_id: The id that is also in the log line of the request.

        Returns:
            The object that api.md calls `error`, wrapped.
        """
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "fields": self.fields,
                "requestId": request_id,
            }
        }


class Malformed(LeBureauError):
    """The request could not be read."""

    code, status = "malformed", 400
    message = "The request could not be understood."
    hint = "Check the address, the query values and the JSON body against /api/docs."


class NotSignedIn(LeBureauError):
    """Nobody is signed in, or the credentials are not valid."""

    code, status = "not_signed_in", 401
    message = "You are not signed in."
    hint = "Sign in, or send an API key as `Authorization: Bearer lb_…`."


class WrongCredentials(NotSignedIn):
    """The email or the password is wrong."""

    code = "wrong_credentials"
    message = "The email or the password is wrong."
    hint = "Check both and try again."


class Forbidden(LeBureauError):
    """The caller may not do this."""

    code, status = "forbidden", 403
    message = "You may not do this."
    hint = "Ask an owner of the workspace."


class WrongOrigin(Forbidden):
    """A browser request came from another site."""

    code = "wrong_origin"
    message = "This request came from another site and was refused."
    hint = "Use Le Bureau from its own address, or an API key."


class MissingScope(Forbidden):
    """The API key does not carry the scope that this route needs."""

    code = "missing_scope"
    message = "This API key does not allow that."
    hint = "Make an API key with the scope that the route needs."


class NotFound(LeBureauError):
    """No such thing, or it belongs to another workspace."""

    code, status = "not_found", 404
    message = "There is nothing here by that name."
    hint = "Check the id. What belongs to another workspace is not shown."


class DesktopNotFound(NotFound):
    """No such desktop for this caller."""

    code = "desktop_not_found"
    message = "There is no such desktop."
    hint = "List your desktops with GET /api/desktops."


class Conflict(LeBureauError):
    """The state of the thing does not allow this."""

    code, status = "conflict", 409
    message = "This is not possible right now."
    hint = "Look at the state of the thing and try again."


class NameTaken(Conflict):
    """A living thing has this name."""

    code = "name_taken"
    message = "That name is taken."
    hint = "Choose another name."


class DesktopDestroyed(Conflict):
    """The desktop is gone; only its history is left."""

    code = "desktop_destroyed"
    message = "This desktop has been destroyed."
    hint = "Its messages can still be read. Create a new desktop to go on."


class DesktopNotRunning(Conflict):
    """The action needs a running desktop."""

    code = "desktop_not_running"
    message = "This desktop is not running."
    hint = "Start it first."


class DesktopBusy(Conflict):
    """Another operation is under way."""

    code = "desktop_busy"
    message = "Something else is being done to this desktop."
    hint = "Wait until it is done, or cancel it."


class TooManySnapshots(Conflict):
    """The desktop has as many snapshots as one may have."""

    code = "too_many_snapshots"
    message = "This desktop has as many snapshots as one may have."
    hint = "Delete one that is no longer needed."


class ChannelNotReady(Conflict):
    """A channel of the desktop does not answer yet."""

    code = "not_ready"
    message = "This part of the desktop is not ready yet."
    hint = "GET /api/desktops/{id}/explain says why, and what to do."


class IdempotencyConflict(Conflict):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_conflict"
    message = "This Idempotency-Key was used for a different request."
    hint = "Use a new key for a new request."


class IdempotencyInProgress(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"
    message = "The first request with this Idempotency-Key is still running."
    hint = "Wait a moment and send it again."


class TooLarge(LeBureauError):
    """The body or the value is larger than allowed."""

    code, status = "too_large", 413
    message = "That is larger than is allowed."
    hint = "Send less at a time."


class Invalid(LeBureauError):
    """Well-formed, but the values are wrong."""

    code, status = "invalid", 422
    message = "Some values are not right."
    hint = "`fields` says which and why."


class RateLimited(LeBureauError):
    """Too many requests.

    Args:
        retry_after: Whole seconds until the next try may succeed.
    """

    code, status = "rate_limited", 429
    message = "Too many requests."
    hint = "Wait as long as Retry-After says."

    def __init__(self, retry_after: int, message: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderError(LeBureauError):
    """The place where desktops run reported a fault."""

    code, status = "provider_error", 502
    message = "The provider could not do this."
    hint = "Look at the operation's error and at `lebureau doctor`, then retry."


class NoCapacity(ProviderError):
    """The host cannot carry another desktop of this size."""

    code, status = "no_capacity", 409
    message = "This host has no room for another desktop of this size."
    hint = "Stop or destroy a desktop, or choose a smaller tier."


class MemoryRefused(ProviderError):
    """A memory that was kept cannot be resumed on this host as it is now."""

    code, status = "memory_refused", 503
    message = "The memory of this desktop cannot be resumed on this host as it is now."
    hint = "Start the desktop cold: its disk is untouched, but what was open is lost."


class UnknownMachine(ProviderError):
    """The provider does not know this machine, or cannot prove that it is ours."""

    code = "unknown_machine"
    message = "The provider does not have this desktop's machine."
    hint = "Start the desktop again, or destroy it."


class NotYet(ProviderError):
    """The verb has been accepted and is not finished: call again."""

    code = "not_yet"
    message = "The provider is still working on it."
    hint = "It is tried again by itself."


class GuestError(LeBureauError):
    """The desktop answered, but not as it should."""

    code, status = "guest_error", 502
    message = "The desktop did not answer as it should."
    hint = "GET /api/desktops/{id}/explain says which part failed."


class DeadlineExceeded(ProviderError):
    """An operation took longer than it may."""

    code, status = "deadline_exceeded", 504
    message = "This took longer than it may."
    hint = "Retry the operation. A slow or busy host needs more: see LEBUREAU_BOOT_TIMEOUT."


class AgentError(LeBureauError):
    """The agent could not finish its run."""

    code, status = "agent_error", 502
    message = "The agent could not finish."
    hint = "Send the message again. GET /api/desktops/{id}/explain says how the agent is."


class NoModelKey(AgentError):
    """The desktop holds no provider key, so that its agent has no model."""

    code, status = "no_model_key", 409
    message = "The agent has no model: this desktop holds no model key."
    hint = "Add a model key under Settings, then send the message again."
