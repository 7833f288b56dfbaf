"""What a person must know before there is a desktop: the image, the model key, the host."""

from lebureau_app.services import hosts, images, provider_keys
from lebureau_app.services.access import Caller
from lebureau_app.state import views
from lebureau_app.state.views import ImageView, StepView


async def first_steps(caller: Caller) -> list[StepView]:
    """The three steps of the first visit, with their real progress."""
    image = await _image(caller)
    keys = await provider_keys.list_provider_keys(caller, limit=1)
    return [
        _image_step(image),
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
        "This host has no working KVM, so desktops run under TCG: they work, but a boot takes "
        "minutes rather than seconds."
    )


async def _image(caller: Caller) -> ImageView | None:
    shown = [views.image(each.json()) for each in await images.list_images(caller)]
    ready = [each for each in shown if each.tone == "ready"]
    return next(iter([*ready, *shown]), None)


def _image_step(image: ImageView | None) -> StepView:
    title = "The golden image"
    if image is None:
        return StepView(title, "off", "To do", "Every desktop starts from it.")
    if image.tone == "ready":
        return StepView(title, "ready", "Done", "Debian 13 with XFCE, Chromium and OpenClaw.")
    return StepView(title, image.tone, image.word, image.detail)
