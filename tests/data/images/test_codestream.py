"""What compressed frames say of themselves, for streams that imagecodecs has written."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from mcalc.data.images.codestream import read_codestream

WRITERS: dict[str, tuple[Callable[..., bytes], dict[str, Any], bool | None]] = {
    "JPEG 2000": (imagecodecs.jpeg2k_encode, {"codecformat": "J2K", "level": 0}, False),
    "JPEG 2000 in boxes": (imagecodecs.jpeg2k_encode, {"codecformat": "JP2", "level": 0}, False),
    "HTJ2K": (imagecodecs.htj2k_encode, {}, False),
    "JPEG-LS": (imagecodecs.jpegls_encode, {}, None),
    "JPEG lossless": (imagecodecs.jpeg8_encode, {"lossless": True}, None),
}


def noise(dtype: Any, height: int = 37, width: int = 53) -> Any:
    high = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, high, (height, width), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_size_depth_and_sign_are_read(name: str, dtype: Any) -> None:
    encode, options, signed = WRITERS[name]
    if name == "JPEG lossless":
        options = {**options, "bitspersample": 8 * np.dtype(dtype).itemsize}
    stream = read_codestream(encode(noise(dtype), **options))
    assert stream is not None
    assert (stream.width, stream.height) == (53, 37)
    assert stream.bits == 8 * np.dtype(dtype).itemsize
    assert stream.signed is signed
    assert stream.complete
    assert stream.scans == 1


def test_signed_jpeg_2000_says_so() -> None:
    frame = imagecodecs.jpeg2k_encode(noise(np.uint8).astype(np.int16), codecformat="J2K", level=0)
    stream = read_codestream(frame)
    assert stream is not None
    assert stream.signed is True


def test_fewer_bits_than_a_word_are_read() -> None:
    pixels = noise(np.uint16) >> 4
    frame = imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", level=0, bitspersample=12)
    stream = read_codestream(frame)
    assert stream is not None
    assert stream.bits == 12


def in_tiles() -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(np.uint8)).save(out, "JPEG2000", no_jp2=True, tile_size=(16, 16))
    return out.getvalue()


@pytest.mark.parametrize("name", [*WRITERS, "JPEG 2000 in tiles"])
def test_no_stream_that_was_cut_is_complete(name: str) -> None:
    if name in WRITERS:
        encode, options, _ = WRITERS[name]
        frame = encode(noise(np.uint16), **options)
    else:
        frame = in_tiles()
    whole = read_codestream(frame)
    assert whole is not None
    assert whole.complete
    for kept in range(120, len(frame) - 1, 7):
        cut = read_codestream(frame[:kept])
        assert cut is None or not cut.complete, kept


def test_no_stream_that_lacks_a_tile_is_complete() -> None:
    frame = in_tiles()
    start = frame.index(b"\xff\x90")
    header, rest, parts = frame[:start], frame[start:], []
    while rest.startswith(b"\xff\x90"):
        size = int.from_bytes(rest[6:10], "big")
        parts.append(rest[:size])
        rest = rest[size:]
    assert len(parts) == 12
    for kept in (parts[:-1], parts[1:], [*parts[:-1], parts[0]], []):
        cut = read_codestream(header + b"".join(kept) + rest)
        assert cut is not None
        assert not cut.complete
    swapped = read_codestream(header + b"".join(parts[::-1]) + rest)
    assert swapped is not None
    assert swapped.complete


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"RLE" * 40, b"\xff\xd8" * 40]
)
def test_what_is_no_stream_says_nothing(frame: bytes) -> None:
    assert read_codestream(frame) is None
