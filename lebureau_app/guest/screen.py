"""What is on a desktop's screen: an RFB 3.8 client (RFC 6143) over the door's WebSocket.

Only the Raw encoding is asked for: a frame is fetched once, so the simplest decoder is the best.
"""

import asyncio
import io
import struct
from dataclasses import dataclass
from functools import cached_property

from PIL import Image
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lebureau_app.errors import GuestError
from lebureau_app.guest.door import VNC_PATH, VNC_SUBPROTOCOLS, Door, connect

_LARGEST_SCREEN = 7680 * 4320
_BLANK_SHARE = 0.995
_LOOK_EVERY = 20
"""Of so many rows one is looked at to see whether anything is drawn; a panel is higher than that."""

_VERSION = b"RFB 003.008\n"
_SECURITY_NONE = 1
_RAW = 0

_FRAMEBUFFER_UPDATE, _COLOUR_MAP, _BELL, _CUT_TEXT = range(4)

# 32 bits a pixel, 24 deep, little-endian true colour: bytes R, G, B and one unused (RFC 6143 §7.4).
_PIXEL_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


@dataclass(frozen=True)
class Frame:
    """What a screen showed at one moment.

    Attributes:
        width: Pixels.
        height: Pixels.
        rgb: Three bytes a pixel, row by row from the top left.
    """

    width: int
    height: int
    rgb: bytes

    @property
    def image(self) -> Image.Image:
        """The frame as an image of Pillow."""
        return Image.frombytes("RGB", (self.width, self.height), self.rgb)

    @cached_property
    def blank(self) -> bool:
        """Whether (but for a mouse pointer) one single colour fills the screen."""
        needed = self.width * self.height * _BLANK_SHARE
        counts = self.image.histogram()
        return all(max(counts[band : band + 256]) >= needed for band in (0, 256, 512))


async def grab(door: Door, *, timeout: float = 20) -> Frame:
    """Fetch one whole frame.

    Args:
        door: The screen's door.
        timeout: Seconds for everything.

    Returns:
        The frame as the desktop's VNC server has it now.

    Raises:
        GuestError: The door does not open, or what is behind it is no usable RFB server.
    """
    return await _fetch(door, timeout)


async def is_drawn(door: Door, *, timeout: float = 20) -> bool:
    """Whether anything is on the screen, judged by some of its rows.

    A whole frame is four megabytes, and to send it costs an emulated machine most of a second.

    Args:
        door: The screen's door.
        timeout: Seconds for everything.

    Raises:
        GuestError: As `grab`.
    """
    return not (await _fetch(door, timeout, every=_LOOK_EVERY)).blank


def png(frame: Frame, width: int | None = None) -> bytes:
    """The frame as PNG. This computes: call it in a thread.

    Args:
        frame: What to encode.
        width: Pixels to scale down to, keeping the proportions; never scales up.
    """
    image = frame.image
    if width is not None and width < frame.width:
        height = max(1, round(frame.height * width / frame.width))
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    encoded = io.BytesIO()
    image.save(encoded, "PNG", compress_level=3)
    return encoded.getvalue()


async def screenshot(door: Door, width: int | None = None, *, timeout: float = 20) -> bytes:
    """The screen now, as PNG.

    Args:
        door: The screen's door.
        width: Pixels to scale down to; None keeps the screen's own size.
        timeout: Seconds for fetching the frame.

    Raises:
        GuestError: As `grab`.
    """
    frame = await grab(door, timeout=timeout)
    return await asyncio.to_thread(png, frame, width)


async def _fetch(door: Door, timeout: float, every: int = 1) -> Frame:
    """Fetch a frame of one in so many rows."""
    try:
        async with asyncio.timeout(timeout):
            async with await connect(door, VNC_PATH, VNC_SUBPROTOCOLS, timeout=timeout) as socket:
                return await _Viewer(socket).frame(every)
    except TimeoutError:
        raise GuestError(f"The screen did not send a frame within {timeout:g} s.") from None
    except ConnectionClosed:
        raise GuestError("The screen closed the connection before it sent a frame.") from None


class _Viewer:
    """The client's half of one RFB session that ends after its first frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._received = bytearray()

    async def frame(self, every: int) -> Frame:
        width, height = await self._open()
        rows = range(0, height, every)
        areas = [(0, height)] if every == 1 else [(row, 1) for row in rows]
        await self._socket.send(
            b"\0\0\0\0"
            + _PIXEL_FORMAT
            + struct.pack(">BxHi", 2, 1, _RAW)
            + b"".join(struct.pack(">BBHHHH", 3, 0, 0, top, width, tall) for top, tall in areas)
        )
        screen = Image.new("RGB", (width, height))
        missing = width * len(rows)
        while missing > 0:
            missing -= await self._message(screen)
        seen = b"".join(screen.crop((0, top, width, top + tall)).tobytes() for top, tall in areas)
        return Frame(width, len(rows), seen)

    async def _open(self) -> tuple[int, int]:
        """Shake hands (RFC 6143 §7.1 to §7.3); answer the size of the screen."""
        if not (await self._read(12)).startswith(b"RFB 003."):
            raise GuestError("What answers in the place of the screen does not speak RFB.")
        await self._socket.send(_VERSION)
        (offered,) = await self._read(1)
        if offered == 0:
            raise GuestError("The screen's server refused the connection.")
        if _SECURITY_NONE not in await self._read(offered):
            raise GuestError("The screen's server asks for a password of its own.")
        await self._socket.send(bytes([_SECURITY_NONE]))
        if int.from_bytes(await self._read(4)) != 0:
            raise GuestError("The screen's server refused the security type None.")
        await self._socket.send(b"\1")
        width, height, name_length = struct.unpack(">HH16xI", await self._read(24))
        if not 0 < width * height <= _LARGEST_SCREEN:
            raise GuestError(f"The screen claims an impossible size: {width} by {height}.")
        await self._skip(name_length)
        return width, height

    async def _message(self, screen: Image.Image) -> int:
        """Read one message of the server; answer how many pixels it has drawn."""
        (kind,) = await self._read(1)
        if kind == _FRAMEBUFFER_UPDATE:
            (rectangles,) = struct.unpack(">xH", await self._read(3))
            return sum([await self._rectangle(screen) for _ in range(rectangles)])
        if kind == _COLOUR_MAP:
            (colours,) = struct.unpack(">xxxH", await self._read(5))
            await self._skip(colours * 6)
        elif kind == _CUT_TEXT:
            (length,) = struct.unpack(">3xI", await self._read(7))
            await self._skip(length)
        elif kind != _BELL:
            raise GuestError(f"The screen's server sent an unknown message ({kind}).")
        return 0

    async def _rectangle(self, screen: Image.Image) -> int:
        left, top, width, height, encoding = struct.unpack(">HHHHi", await self._read(12))
        if encoding != _RAW:
            raise GuestError(f"The screen's server used an encoding nobody asked for ({encoding}).")
        if left + width > screen.width or top + height > screen.height:
            raise GuestError("The screen's server drew outside of the screen.")
        pixels = await self._read(width * height * 4)
        if pixels:
            part = Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX")
            screen.paste(part, (left, top))
        return width * height

    async def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            self._received += await self._next()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    async def _skip(self, count: int) -> None:
        while count > 0:
            count -= len(await self._read(min(count, 65536)))

    async def _next(self) -> bytes:
        message = await self._socket.recv()
        if isinstance(message, str):
            raise GuestError("The screen's server sent text where RFB is binary.")
        return message
