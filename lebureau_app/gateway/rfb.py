"""What a browser says in RFB, message by message (RFC 6143 §7.5 and its registered extensions).

The length of a message is only known from its type, so a proxy that drops some of them has to
understand every one. A type that it does not know ends the connection: behind it, nothing could
be told apart any more.
"""

import struct
from collections.abc import Callable, Generator

from lebureau_app.gateway.relay import ProtocolViolation

SET_PIXEL_FORMAT = 0
SET_ENCODINGS = 2
UPDATE_REQUEST = 3
KEY_EVENT = 4
POINTER_EVENT = 5
CUT_TEXT = 6
CONTINUOUS_UPDATES = 150
FENCE = 248
XVP = 250
SET_DESKTOP_SIZE = 251
QEMU = 255

_INPUT = frozenset({KEY_EVENT, POINTER_EVENT, CUT_TEXT, XVP, SET_DESKTOP_SIZE, QEMU})
_BY_A_PERSON = frozenset({KEY_EVENT, POINTER_EVENT, CUT_TEXT, QEMU})

# Bytes after the type, for the messages whose length never varies.
_FIXED_LENGTH = {
    SET_PIXEL_FORMAT: 19,
    UPDATE_REQUEST: 9,
    KEY_EVENT: 7,
    POINTER_EVENT: 5,
    CONTINUOUS_UPDATES: 9,
    XVP: 3,
}

_QEMU_KEY, _QEMU_AUDIO, _QEMU_AUDIO_SET_FORMAT = 0, 1, 2
_EXTENDED_MOUSE_BUTTONS = -316
_MOST_ENCODINGS = 1024
_LONGEST_CUT_TEXT = 32 * 1024 * 1024
_PIECE = 65536


class ClientStream:
    """Reads the browser's half of one RFB connection and decides what the guest may see of it.

    Two things are changed for everybody. The connection is always a shared one, so that nobody
    throws the others out. And extended mouse buttons are not offered to the server, because with
    them the length of a pointer event depends on what the server has answered.

    Args:
        view_only: Asked at the start of each message: whether input must be dropped.
        on_input: Called for what a person does that the guest sees: keys, pointer, clipboard.
    """

    def __init__(
        self, view_only: Callable[[], bool], on_input: Callable[[], None] = lambda: None
    ) -> None:
        self._view_only = view_only
        self._on_input = on_input
        self._received = bytearray()
        self._admitted = bytearray()
        self._conversation = self._converse()
        self._wanted = next(self._conversation)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the browser, cut anywhere.

        Returns:
            What goes on to the guest; may be empty.

        Raises:
            ProtocolViolation: This is no RFB, or a message that the proxy does not know.
        """
        self._received += data
        start = 0
        while len(self._received) - start >= self._wanted:
            end = start + self._wanted
            self._wanted = self._conversation.send(bytes(self._received[start:end]))
            start = end
        del self._received[:start]
        admitted, self._admitted = bytes(self._admitted), bytearray()
        return admitted

    def _converse(self) -> Generator[int, bytes, None]:
        """The whole conversation: yields how many bytes it wants next and is sent just those."""
        yield from self._handshake()
        while True:
            (kind,) = yield 1
            dropped = kind in _INPUT and self._view_only()
            if kind in _BY_A_PERSON and not dropped:
                self._on_input()
            message = self._cut_text(dropped) if kind == CUT_TEXT else self._message(kind)
            complete = yield from message
            if not dropped:
                self._admitted += complete

    def _handshake(self) -> Generator[int, bytes, None]:
        version = yield 12
        if version not in (b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n"):
            raise ProtocolViolation("This is not RFB 3.3, 3.7 or 3.8.")
        self._admitted += version
        if version != b"RFB 003.003\n":
            security = yield 1
            if security != b"\1":
                raise ProtocolViolation("Choose the security type None: the proxy has signed in.")
            self._admitted += security
        yield 1
        self._admitted += b"\1"

    def _message(self, kind: int) -> Generator[int, bytes, bytes]:
        """Read what follows the type; answers the whole message as the guest may see it."""
        head = bytes([kind])
        if kind in _FIXED_LENGTH:
            return head + (yield _FIXED_LENGTH[kind])
        if kind == SET_ENCODINGS:
            return head + (yield from self._encodings())
        if kind == FENCE:
            fixed = yield 8
            return head + fixed + (yield fixed[7])
        if kind == SET_DESKTOP_SIZE:
            fixed = yield 7
            return head + fixed + (yield fixed[5] * 16)
        if kind == QEMU:
            return head + (yield from self._qemu())
        raise ProtocolViolation(f"Le Bureau does not pass on RFB messages of type {kind}.")

    def _encodings(self) -> Generator[int, bytes, bytes]:
        (count,) = struct.unpack(">xH", (yield 3))
        if count > _MOST_ENCODINGS:
            raise ProtocolViolation("That is more encodings than there are.")
        offered = struct.unpack(f">{count}i", (yield count * 4))
        passed = [encoding for encoding in offered if encoding != _EXTENDED_MOUSE_BUTTONS]
        return struct.pack(f">xH{len(passed)}i", len(passed), *passed)

    def _qemu(self) -> Generator[int, bytes, bytes]:
        submessage = yield 1
        if submessage[0] == _QEMU_KEY:
            return submessage + (yield 10)
        if submessage[0] == _QEMU_AUDIO:
            operation = yield 2
            parameters = 6 if int.from_bytes(operation) == _QEMU_AUDIO_SET_FORMAT else 0
            return submessage + operation + (yield parameters)
        raise ProtocolViolation(
            f"Le Bureau does not pass on QEMU messages of type {submessage[0]}."
        )

    def _cut_text(self, dropped: bool) -> Generator[int, bytes, bytes]:
        """Clipboard text can be long, so it passes (or is dropped) in pieces as it comes."""
        head = yield 7
        (length,) = struct.unpack(">3xi", head)
        left = abs(length)  # negative for the extended clipboard
        if left > _LONGEST_CUT_TEXT:
            raise ProtocolViolation("That is too much for the clipboard.")
        piece = bytes([CUT_TEXT]) + head
        while left > 0:
            if not dropped:
                self._admitted += piece
            piece = yield min(left, _PIECE)
            left -= len(piece)
        return piece
