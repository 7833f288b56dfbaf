import struct

import pytest

from lebureau_app.gateway.relay import ProtocolViolation
from lebureau_app.gateway.rfb import ClientStream

HANDSHAKE = b"RFB 003.008\n\x01\x01"

PIXEL_FORMAT = b"\0\0\0\0" + bytes(range(16))
ENCODINGS = struct.pack(">BxH3i", 2, 3, 0, -239, -308)
UPDATE = struct.pack(">BBHHHH", 3, 1, 4, 5, 6, 7)
CONTINUOUS = struct.pack(">BBHHHH", 150, 1, 0, 0, 9, 9)
FENCE = b"\xf8\0\0\0" + struct.pack(">IB", 1, 3) + b"\x04\x05\x06"
EMPTY_FENCE = b"\xf8\0\0\0" + struct.pack(">IB", 1, 0)
PASSING = [PIXEL_FORMAT, ENCODINGS, UPDATE, CONTINUOUS, FENCE, EMPTY_FENCE]

KEY = struct.pack(">BBxxI", 4, 1, 0x61)
POINTER = struct.pack(">BBHH", 5, 0x81, 3, 4)
CUT_TEXT = struct.pack(">B3xi", 6, 9) + b"\x03\x04\x05\x06 text"
EXTENDED_CUT_TEXT = struct.pack(">B3xi", 6, -8) + b"\x04\x05\x06\x03\x03\x03\x03\x03"
XVP = b"\xfa\0\x01\x02"
DESKTOP_SIZE = struct.pack(">BxHHBx", 251, 1600, 900, 2) + b"\x04\x05" * 16
QEMU_KEY = struct.pack(">BBHII", 255, 0, 1, 0x61, 30)
QEMU_AUDIO = struct.pack(">BBH", 255, 1, 0)
QEMU_AUDIO_FORMAT = struct.pack(">BBHBBI", 255, 1, 2, 3, 2, 44100)
INPUT = [
    KEY,
    POINTER,
    CUT_TEXT,
    EXTENDED_CUT_TEXT,
    XVP,
    DESKTOP_SIZE,
    QEMU_KEY,
    QEMU_AUDIO,
    QEMU_AUDIO_FORMAT,
]

# Every kind of message, with input between all that passes.
MIXED = [
    message for turn in range(len(INPUT)) for message in (INPUT[turn], PASSING[turn % len(PASSING)])
]


def fed(stream: ClientStream, data: bytes, size: int) -> bytes:
    return b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_control_passes_everything_however_it_is_cut(size):
    said = HANDSHAKE + b"".join(MIXED)
    assert fed(ClientStream(lambda: False), said, size) == said


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_view_drops_input_and_nothing_else(size):
    said = HANDSHAKE + b"".join(MIXED)
    left = HANDSHAKE + b"".join(message for message in MIXED if message in PASSING)
    assert fed(ClientStream(lambda: True), said, size) == left


def test_every_split_in_two_gives_the_same():
    said = HANDSHAKE + b"".join(MIXED)
    left = HANDSHAKE + b"".join(message for message in MIXED if message in PASSING)
    for cut in range(len(said)):
        stream = ClientStream(lambda: True)
        assert stream.feed(said[:cut]) + stream.feed(said[cut:]) == left


def test_only_what_a_person_does_is_input():
    did = []
    stream = ClientStream(lambda: False, lambda: did.append(True))
    stream.feed(HANDSHAKE + b"".join(PASSING))
    assert not did
    stream.feed(KEY + POINTER + CUT_TEXT)
    assert len(did) == 3
    watching = ClientStream(lambda: True, lambda: did.append(True))
    watching.feed(HANDSHAKE + KEY + POINTER + CUT_TEXT)
    assert len(did) == 3


def test_the_mode_can_change_between_messages_but_not_within_one():
    viewing = True
    stream = ClientStream(lambda: viewing)
    assert stream.feed(HANDSHAKE + KEY) == HANDSHAKE
    assert stream.feed(KEY[:3]) == b""
    viewing = False
    assert stream.feed(KEY[3:]) == b""
    assert stream.feed(KEY) == KEY
    begun = stream.feed(CUT_TEXT[:10])
    viewing = True
    assert begun + stream.feed(CUT_TEXT[10:] + POINTER) == CUT_TEXT


def test_long_clipboard_text_passes_in_pieces():
    text = struct.pack(">B3xi", 6, 1_000_000) + b"x" * 1_000_000
    stream = ClientStream(lambda: False)
    stream.feed(HANDSHAKE)
    half = stream.feed(text[:500_000])
    assert len(half) > 400_000
    assert half + stream.feed(text[500_000:]) == text


def test_nobody_is_thrown_out_by_an_exclusive_client():
    assert ClientStream(lambda: True).feed(HANDSHAKE[:-1] + b"\0") == HANDSHAKE


def test_extended_mouse_buttons_are_not_offered():
    offered = struct.pack(">BxH3i", 2, 3, 0, -316, -239)
    stream = ClientStream(lambda: False)
    stream.feed(HANDSHAKE)
    assert stream.feed(offered) == struct.pack(">BxH2i", 2, 2, 0, -239)


@pytest.mark.parametrize(
    ("version", "rest"), [(b"RFB 003.003\n", b"\x01"), (b"RFB 003.007\n", b"\x01\x01")]
)
def test_older_versions(version, rest):
    said = version + rest + UPDATE
    assert fed(ClientStream(lambda: True), said + KEY, 1) == said


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"GET / HTTP/1.", "not RFB"),
        (b"RFB 003.008\n\x02", "security type None"),
        (HANDSHAKE + b"\x07", "type 7"),
        (HANDSHAKE + b"\xfc", "type 252"),
        (HANDSHAKE + b"\xff\x09", "QEMU messages of type 9"),
        (HANDSHAKE + b"\x02\0\xff\xff", "encodings"),
        (HANDSHAKE + b"\x06\0\0\0\x7f\xff\xff\xff", "clipboard"),
    ],
)
def test_what_cannot_be_understood_ends_the_connection(said, words):
    with pytest.raises(ProtocolViolation, match=words):
        fed(ClientStream(lambda: False), said, 1)
