"""What a person does first and sees: the sign-in form, the picture in the canvas."""

import io

from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.server import OWNER, PASSWORD


def sign_in(page: Page) -> None:
    page.goto("/login/")
    page.fill("#email", OWNER)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")
    expect(page.locator("#new-computer")).to_be_visible()


def colours(picture: Image.Image) -> list[int]:
    """How often each colour is in a picture, the most frequent first."""
    return sorted((int(count) for count, _ in picture.getcolors(1 << 24) or []), reverse=True)


def canvas_image(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.locator(".lb-screen canvas").screenshot())).convert("RGB")


def shows_the_panel(picture: Image.Image) -> bool:
    """XFCE's panel is a dark bar of one colour along the lower edge, with icons at its left."""
    width, height = picture.size
    bar = picture.crop((0, height - height // 40, width, height - height // 80))
    icons = picture.crop((0, height - height // 24, width // 6, height))
    return sum(colours(bar)[:4]) > 0.6 * bar.width * bar.height and len(colours(icons)) > 50
