import io
import struct
from dataclasses import dataclass

import pytest
from PIL import Image

from lebureau_app.errors import GuestError
from lebureau_app.guest.screen import Frame, grab, is_drawn, png, screenshot
from tests.gateway.servers import HEIGHT, WIDTH, RfbServer, door_for

PIXEL_FORMAT_AND_ENCODINGS = 20 + 8
"""Bytes that a viewer says before it asks for pixels."""


async def test_a_frame_has_the_colours_of_the_screen():
    async with door_for(RfbServer(pixel=b"\x10\x20\x30\x00")) as door:
        frame = await grab(door)
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    assert frame.rgb == b"\x10\x20\x30" * (WIDTH * HEIGHT)
    assert frame.blank


async def test_a_screenshot_is_a_png_of_the_asked_width():
    async with door_for(RfbServer()) as door:
        shot = Image.open(io.BytesIO(await screenshot(door, 32)))
    assert shot.format == "PNG"
    assert shot.size == (32, 24)
    assert shot.getpixel((5, 5)) == (0x10, 0x20, 0x30)


def test_png_never_scales_up():
    frame = Frame(2, 1, b"\xff\0\0\0\0\xff")
    image = Image.open(io.BytesIO(png(frame, 100)))
    assert image.size == (2, 1)
    assert image.tobytes() == frame.rgb


def test_a_pointer_on_black_is_blank_and_a_panel_is_not():
    black = Image.new("RGB", (1280, 800))
    black.paste((255, 255, 255), (640, 400, 656, 416))
    assert Frame(1280, 800, black.tobytes()).blank
    black.paste((60, 60, 60), (0, 0, 1280, 28))
    assert not Frame(1280, 800, black.tobytes()).blank


@dataclass
class Shows:
    """A VNC server that sends of a picture what it is asked for, and counts the pixels."""

    picture: Image.Image
    sent: int = 0

    async def __call__(self, socket):
        await socket.send(b"RFB 003.008\n")
        await socket.recv()
        await socket.send(b"\x01\x01")
        await socket.recv()
        await socket.send(b"\0\0\0\0")
        await socket.recv()
        await socket.send(struct.pack(">HH20x", *self.picture.size))
        requests = (await socket.recv())[PIXEL_FORMAT_AND_ENCODINGS:]
        for _, _, left, top, width, height in struct.iter_unpack(">BBHHHH", requests):
            part = self.picture.crop((left, top, left + width, top + height))
            pixels = part.tobytes("raw", "RGBX")
            await socket.send(struct.pack(">BxHHHHHi", 0, 1, left, top, width, height, 0) + pixels)
            self.sent += width * height
        await socket.wait_closed()


async def test_a_panel_is_found_in_a_few_rows():
    empty = Image.new("RGB", (1280, 800), (9, 9, 9))
    with_panel = empty.copy()
    with_panel.paste((60, 60, 60), (0, 773, 1280, 800))
    for picture, drawn in ((empty, False), (with_panel, True)):
        shows = Shows(picture)
        async with door_for(shows) as door:
            assert await is_drawn(door) is drawn
        assert shows.sent == 1280 * 40


async def refuses_by_count(socket):
    await socket.send(b"RFB 003.008\n")
    await socket.recv()
    await socket.send(b"\0" + struct.pack(">I", 3) + b"no.")
    await socket.wait_closed()


async def asks_for_a_password(socket):
    await socket.send(b"RFB 003.008\n")
    await socket.recv()
    await socket.send(b"\x01\x02")
    await socket.wait_closed()


async def speaks_ssh(socket):
    await socket.send(b"SSH-2.0-OpenSSH_10.0\r\n")
    await socket.wait_closed()


async def is_enormous(socket):
    await socket.send(b"RFB 003.008\n\x01\x01\0\0\0\0" + b"\xff" * 4 + bytes(16) + bytes(4))
    await socket.wait_closed()


async def draws_outside(socket):
    await socket.send(b"RFB 003.008\n\x01\x01\0\0\0\0" + struct.pack(">HH20x", 8, 8))
    await socket.send(struct.pack(">BxHHHHHi", 0, 1, 4, 4, 8, 8, 0) + bytes(256))
    await socket.wait_closed()


async def says_nothing(socket):
    await socket.wait_closed()


async def closes(socket):
    await socket.send(b"RFB 003.008\n")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (refuses_by_count, "refused the connection"),
        (asks_for_a_password, "asks for a password"),
        (speaks_ssh, "does not speak RFB"),
        (is_enormous, "impossible size"),
        (draws_outside, "outside of the screen"),
        (says_nothing, r"within 0\.3 s"),
        (closes, "closed the connection"),
    ],
)
async def test_what_is_wrong_is_said(server, words):
    async with door_for(server) as door:
        with pytest.raises(GuestError, match=words):
            await grab(door, timeout=0.3)
