"""What a person must know before there is a desktop: the image, the model key, the host."""

from typing import Any

from lebureau_app.services import hosts, images, provider_keys
from lebureau_app.services.access import Caller
from lebureau_app.state import snapshot_views, views
from lebureau_app.state.views import ImageView, StepView


async def first_steps(caller: Caller) -> list[StepView]:
    """The three steps of the first visit, with their real progress."""
    image = await _image(caller)
    making = next((each for each in await goldens(caller) if each["status"] == "making"), None)
    keys = await provider_keys.list_provider_keys(caller, limit=1)
    return [
        _image_step(image, making),
        StepView(
            "A model key",
            "ready" if keys.rows else "off",
            "Done" if keys.rows else "To do",
            "The agent thinks with your own key. It is encrypted, and never shown again.",
            "/settings/?section=models",
            "" if keys.rows else "Add a model key",
        ),
        StepView(
            "Your first computer",
            "off",
            "To do",
            "A full Linux desktop with an agent in it.",
        ),
    ]


async def image_banner(caller: Caller) -> str:
    """What is being built or has failed, while there is no image to start from; else empty."""
    image = await _image(caller)
    if image is None:
        return "There is no golden image yet. Desktops wait until it is built."
    if image.tone == "ready":
        return ""
    if image.tone == "failed":
        return f"The golden image could not be built: {image.detail}"
    return f"The golden image is being built: {image.detail}. Desktops wait for it."


async def host_note(caller: Caller) -> str:
    """What is to be known about how the host runs machines; empty with KVM."""
    slow = [host for host in await hosts.list_hosts(caller) if host.accelerator == "tcg"]
    if not slow:
        return ""
    return (
        "This host has no working KVM, so desktops run under TCG: they work, but more slowly, "
        "and one that boots takes a minute or more."
    )


async def goldens(caller: Caller) -> list[dict[str, Any]]:
    """The golden machines of the image that new desktops are made of, one for each tier."""
    image = await _newest(caller)
    return image.get("goldens") or [] if image else []


async def _newest(caller: Caller) -> dict[str, Any] | None:
    shown = [each.json() for each in await images.list_images(caller)]
    ready = [each for each in shown if each["status"] == "ready"]
    return next(iter([*ready, *shown]), None)


async def _image(caller: Caller) -> ImageView | None:
    newest = await _newest(caller)
    return views.image(newest) if newest else None


def _image_step(image: ImageView | None, making: dict[str, Any] | None) -> StepView:
    title = "The golden image"
    if image is None:
        return StepView(title, "off", "To do", "Every desktop starts from it.")
    if image.tone != "ready":
        return StepView(title, image.tone, image.word, image.detail)
    if making:
        golden = snapshot_views.golden(making)
        detail = (
            f"Its golden machine is being made, so that computers start in seconds: {golden.detail}"
        )
        return StepView(title, "working", "Warming up", detail.rstrip(": "))
    return StepView(title, "ready", "Done", "Debian 13 with XFCE, Chromium and OpenClaw.")
