"""Golden machines, as pages show them: one for each tier, whose memory new desktops resume."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class GoldenState:
    """How the golden machine of a tier is getting on.

    Attributes:
        image: The golden image that it is booted from.
        status: `ready`, `making`, `waiting` or `failed`.
        progress: While it is not ready: `{"step", "percent", "message"}`.
        size: Bytes on disk; None before it is ready.
        error: Why it could not be made, for a person.
    """

    tier: str
    image: str
    status: str
    progress: dict[str, Any] | None = None
    size: int | None = None
    error: str | None = None

    def json(self) -> dict[str, Any]:
        """The golden machine as an item of `GET /api/images` shows it."""
        return {
            "tier": self.tier,
            "status": self.status,
            "progress": self.progress,
            "size": self.size,
            "error": self.error,
        }


class Maker(Protocol):
    """Who makes golden machines; the engine, given by the composition root."""

    def states(self) -> list[GoldenState]:
        """How each tier's is getting on, the default tier first."""
        ...


_maker: Maker | None = None


def provide(maker: Maker | None) -> None:
    """Give the services their maker; called once by the composition root."""
    global _maker
    _maker = maker


def are_made() -> bool:
    """Whether this server makes golden machines."""
    return _maker is not None


def of_image(image_id: str) -> list[dict[str, Any]]:
    """The golden machines of an image, as JSON."""
    states = _maker.states() if _maker else []
    return [state.json() for state in states if state.image == image_id]
