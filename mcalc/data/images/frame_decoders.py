"""Compressed grey frames of a DICOM to stored values, by one decoder for each transfer syntax.

pydicom tries all decoders that happen to be installed, so pixels and errors would depend on the
machine. Here imagecodecs decodes every frame, as the plug-in of decoders that belong to this module
(pydicom's are left as they are). It releases Python's lock: several files are decoded at once.

Some damage is looked for before a frame is decoded, because the libraries inside imagecodecs do
not: for a frame without its end, the JPEG one fills the rest with grey and the JPEG-LS one never
returns; the RLE one reads wherever the header's offsets point, and pydicom's drops any surplus.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.pixels.decoders import rle
from pydicom.pixels.decoders.base import Decoder, DecodeRunner, get_decoder

from mcalc.data.images.codestream import read_codestream, with_surplus

StoredValues = npt.NDArray[np.generic]

_UNCOMPRESSED = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)

_PIXELS_OF_A_THREAD = 1_000_000
"""Of JPEG 2000, the slowest: one mammogram alone then keeps all cores busy. Crops are decoded by
one thread each, as many of them are decoded at once."""


@cache
def frame_decoder(syntax: uid.UID) -> Decoder | None:
    """The decoder of a transfer syntax, whose `as_array` takes a data set; None where none is."""
    if syntax in _UNCOMPRESSED:
        return get_decoder(syntax)
    if syntax not in _DECODE:
        return None
    decoder = Decoder(syntax)
    decoder.add_plugin("imagecodecs", (__name__, decode_frame.__name__))
    if syntax == uid.RLELossless:
        # tried where imagecodecs refuses, as it does any surplus
        decoder.add_plugin("pydicom", (__name__, decode_padded_rle.__name__))
    return decoder


def is_available(syntax: str) -> bool:
    """Whether `decode_frame` takes a transfer syntax; pydicom asks this of each plug-in."""
    return syntax in _DECODE


def decode_frame(frame: bytes, runner: DecodeRunner) -> memoryview:
    """The stored values' bytes, row by row; pydicom calls it for each frame.

    A value has as many bytes as the codec gives it, and the runner's BitsAllocated is set to that.
    pydicom then corrects the sign of JPEG 2000 and JPEG-LS values. Of all other syntaxes it drops
    the bits above BitsStored.

    Raises ValueError, or the codec's RuntimeError, where the frame is damaged or does not hold one
    grey image of the header's size and depth.
    """
    values = _DECODE[runner.transfer_syntax](frame, runner)
    if values.shape != (runner.rows, runner.columns):
        raise ValueError(f"the frame has shape {values.shape}")
    bits = 8 * values.itemsize
    if bits > runner.bits_allocated:
        raise ValueError(f"the frame has {bits} bits a pixel")
    runner.set_option("bits_allocated", bits)
    return np.ascontiguousarray(values).data.cast("B")


def decode_padded_rle(frame: bytes, runner: DecodeRunner) -> bytearray:
    """As `decode_frame`, for RLE segments that some writers end with surplus pixels: pydicom's own
    decoder drops them.

    Raises ValueError for a row or column more than the header says: then that is wrong.
    """
    count, *offsets = struct.unpack("<16L", frame[:64])
    pixels = runner.rows * runner.columns
    for start, end in pairwise([*offsets[:count], len(frame)]):
        length = len(rle._rle_decode_segment(frame[start:end]))
        if length - pixels >= max(2, min(runner.rows, runner.columns)):
            raise ValueError(f"a segment holds {length} pixels of {pixels}")
    return rle._decode_frame(frame, runner)


def _decode_jpeg2000(frame: bytes, runner: DecodeRunner) -> StoredValues:
    threads = min(os.cpu_count() or 1, 1 + runner.rows * runner.columns // _PIXELS_OF_A_THREAD)
    return imagecodecs.jpeg2k_decode(frame, numthreads=threads)


def _decode_jpeg_ls(frame: bytes, runner: DecodeRunner) -> StoredValues:
    _refuse_missing_end(frame)
    return imagecodecs.jpegls_decode(frame)


def _decode_jpeg_lossless(frame: bytes, runner: DecodeRunner) -> StoredValues:
    _refuse_missing_end(frame)
    values = imagecodecs.jpeg8_decode(frame)
    _refuse_filling(frame, values)
    return values


def _decode_jpeg_lossy(frame: bytes, runner: DecodeRunner) -> StoredValues:
    values = _decode_jpeg_lossless(frame, runner)
    if runner.pixel_representation == 0 and runner.bits_stored < 8 * values.itemsize:
        # 10 bits are coded as JPEG's 12, so white can become 1024, and 0 when its 11th bit goes
        np.minimum(values, 2**runner.bits_stored - 1, out=values)
    return values


def _decode_rle(frame: bytes, runner: DecodeRunner) -> StoredValues:
    if not imagecodecs.dicomrle_check(frame):
        raise ValueError("the RLE header points outside the frame")
    size = int(runner.frame_length(unit="bytes"))
    values = imagecodecs.dicomrle_decode(frame, runner.pixel_dtype, out=size)
    return np.frombuffer(values, runner.pixel_dtype).reshape(runner.rows, runner.columns)


def _refuse_missing_end(frame: bytes) -> None:
    """Raise ValueError where JPEG's or JPEG-LS's end of image does not follow the last scan."""
    end, scan = frame.rfind(b"\xff\xd9"), frame.rfind(b"\xff\xda")
    if not 0 <= scan < end:
        raise ValueError("the frame ends before its image does")


def _refuse_filling(frame: bytes, values: StoredValues) -> None:
    """Raise ValueError where the decoder filled up with grey: a frame that was cut, then closed.

    Grey is the middle of the range. Of several scans the last may be short without any grey.
    """
    stream = read_codestream(frame)
    if stream is None or (stream.scans == 1 and values.flat[-1] != 1 << (stream.bits - 1)):
        return
    fuller = with_surplus(frame)
    if fuller and not np.array_equal(imagecodecs.jpeg8_decode(fuller), values):
        raise ValueError("the frame ends before its image does")


_DECODE: dict[str, Callable[[bytes, DecodeRunner], StoredValues]] = {
    uid.JPEGBaseline8Bit: _decode_jpeg_lossy,
    uid.JPEGExtended12Bit: _decode_jpeg_lossy,
    uid.JPEGLossless: _decode_jpeg_lossless,
    uid.JPEGLosslessSV1: _decode_jpeg_lossless,
    uid.JPEGLSLossless: _decode_jpeg_ls,
    uid.JPEGLSNearLossless: _decode_jpeg_ls,
    uid.JPEG2000Lossless: _decode_jpeg2000,
    uid.JPEG2000: _decode_jpeg2000,
    uid.HTJ2KLossless: _decode_jpeg2000,
    uid.HTJ2KLosslessRPCL: _decode_jpeg2000,
    uid.HTJ2K: _decode_jpeg2000,
    uid.RLELossless: _decode_rle,
}
