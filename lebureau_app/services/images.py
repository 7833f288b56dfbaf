"""Golden images: what is there, what is being built, what may go."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from image.recipe import PROFILES, image_id
from lebureau_app import db
from lebureau_app.errors import Conflict, Forbidden
from lebureau_app.models import Role, utc_now
from lebureau_app.services import desktop_state, events, goldens, present
from lebureau_app.services.access import Caller
from lebureau_app.settings import get_settings

log = logging.getLogger(__name__)

PROFILE = "standard"


@dataclass(frozen=True, slots=True)
class Image:
    """A golden image, or the one that is being built.

    Attributes:
        status: `ready`, `building` or `failed`.
        progress: While it is built: `{"step", "percent", "message"}`.
        size: Bytes on disk; None before it is ready.
        current: Whether it is what the recipe of this version makes.
        error: Why the build failed, for a person.
        hint: What to do about it.
    """

    id: str
    suite: str
    profile: str
    status: str
    current: bool = False
    progress: dict[str, Any] | None = None
    size: int | None = None
    created_at: datetime | None = None
    error: str | None = None
    hint: str | None = None

    @property
    def message(self) -> str:
        """What is happening to it, in words."""
        return self.error or (self.progress or {}).get("message", "")

    def json(self) -> dict[str, Any]:
        """The image as api.md shows it."""
        return {
            "id": self.id,
            "suite": self.suite,
            "profile": self.profile,
            "status": self.status,
            "current": self.current,
            "progress": self.progress,
            "size": self.size,
            "createdAt": present.time(self.created_at),
            "error": self.error,
            "hint": self.hint,
            "goldens": goldens.of_image(self.id),
        }


class Builder(Protocol):
    """Who builds images; the engine, given by the composition root."""

    def under_way(self) -> Image | None:
        """What is being built, or has failed and is tried again."""
        ...

    def request(self) -> None:
        """Build now what is missing."""


_builder: Builder | None = None


def provide(builder: Builder) -> None:
    """Give the services their builder; called once by the composition root."""
    global _builder
    _builder = builder


def recipe_image() -> Image:
    """The image that the recipe of this version makes, as it is when its build begins."""
    profile = PROFILES[PROFILE]
    progress = {"step": "waiting", "percent": None, "message": "The build is about to begin."}
    return Image(
        id=_current_id(),
        suite=profile.suite,
        profile=PROFILE,
        status="building",
        current=True,
        progress=progress,
        created_at=utc_now(),
    )


def under_way() -> Image | None:
    """What is being built, or has failed and is tried again."""
    return _builder.under_way() if _builder else None


async def list_images(caller: Caller) -> list[Image]:
    """Every image, the one under way first, then the newest."""
    caller.need_scope("read")
    building = under_way()
    return [*([building] if building else []), *ready()]


async def newest() -> str | None:
    """The id of the image that new desktops get: the current one, or else the newest there is."""
    images = ready()
    current = next((image for image in images if image.current), None)
    best = current or next(iter(images), None)
    return best.id if best else None


def ready() -> list[Image]:
    """The images that desktops can be made of, newest first."""
    settings = get_settings()
    if settings.provider == "fake":
        return [replace(recipe_image(), id="fake", status="ready", progress=None, size=0)]
    found = list(_on_disk(settings.images_dir))
    return sorted(found, key=lambda image: image.created_at or utc_now(), reverse=True)


def has_current() -> bool:
    """Whether the image of this version's recipe is there."""
    return any(image.current for image in ready())


async def request_build(caller: Caller) -> Image:
    """Have the current image built, unless it is there or on its way.

    Raises:
        Forbidden: The caller owns no workspace.
        Conflict: This server does not build images.
    """
    caller.need_scope("write")
    if Role.OWNER not in caller.roles.values():
        raise Forbidden("Only an owner may have the golden image built.")
    there = next((image for image in ready() if image.current), None)
    if there:
        return there
    if _builder is None:
        raise Conflict(
            "This server does not build images.", hint="Run `lebureau image build` on its machine."
        )
    _builder.request()
    return under_way() or recipe_image()


async def announce(image: Image) -> None:
    """Tell everybody how an image is getting on."""
    async with db.writing() as session:
        events.emit(session, "image.progress", image.json())


async def prune() -> list[str]:
    """Remove images that no living desktop is built on, all but the newest.

    Returns:
        The ids of those that are gone.
    """
    kept = {await newest(), *await desktop_state.images_in_use()}
    gone = [image.id for image in ready() if image.id not in kept]
    for image in gone:
        shutil.rmtree(get_settings().images_dir / image)
    return gone


@lru_cache
def _current_id() -> str:
    return image_id(PROFILES[PROFILE])


def _on_disk(folder: Path) -> Iterator[Image]:
    for manifest in folder.glob("*/manifest.json"):
        try:
            said = json.loads(manifest.read_text())
            image = Image(
                id=said["id"],
                suite=said["suite"],
                profile=said["profile"],
                status="ready",
                current=said["id"] == _current_id(),
                size=said["size"],
                created_at=_moment(said["created"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("%s is not the manifest of an image", manifest)
            continue
        if image.id == manifest.parent.name:
            yield image


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
