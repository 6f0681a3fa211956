"""What a DICOM's stored values look like on a screen: PS3.3 C.7.6.3, C.11.1 and C.11.2.

Stored value -> modality LUT or rescale -> VOI LUT or window -> inversion -> grey. Every step maps a
value whatever its place in the image, so the chain is worked out once for the 2**BitsStored values
that there can be, and an image is one look-up: no copy of it in floating point is ever made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing
from pydicom.valuerep import DSfloat

from mcalc.data.images.dicom_tags import Tags

GreyImage = npt.NDArray[np.uint8 | np.uint16]
Values = npt.NDArray[np.float64]

GREY_SCALE_TAGS = [
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
]
"""All that is looked at."""

_BLOCK_ROWS = 256


class BadGreyScale(Exception):  # noqa: N818 - read as a sentence: `except BadGreyScale`
    """A LUT, window, rescale or padding that cannot be applied; the message says which and why."""


def display_table(tags: Tags, bits: int) -> GreyImage:
    """The grey of each possible stored value, lowest first: shape (2**bits,).

    `bits`: of a stored value. uint8 up to 8 bits, else uint16, over the type's full range.

    - A modality LUT, else slope and intercept, come first; where neither is, values stay.
    - A VOI LUT is preferred to a window where both are, as a window is what a viewer may use in its
      place; of several of either, the first. Windows are LINEAR, LINEAR_EXACT or SIGMOID.
    - Where there is no VOI, the possible range (not the one found) goes to the full range.
    - MONOCHROME1, or PresentationLUTShape INVERSE (which means the same), inverts.
    - Pixel padding is black whatever the rest says: no transform changes it.

    Which of tissue and background is bright is what PhotometricInterpretation says;
    PixelIntensityRelationshipSign adds nothing to it.

    Raises BadGreyScale, and UnreadableImage for an element that cannot be read.
    """
    lowest = -(2 ** (bits - 1)) if is_signed(tags) else 0
    stored = np.arange(lowest, lowest + 2**bits, dtype=np.int64)
    values, low, high = _modality(stored, tags)
    shown = _voi(values, tags)
    if shown is None:
        if not low < high:
            raise BadGreyScale(
                "its RescaleSlope is 0, or so small beside RescaleIntercept that all values are one"
            )
        shown = (values - low) / (high - low)
    if (
        tags.text("PhotometricInterpretation") == "MONOCHROME1"
        or tags.text("PresentationLUTShape") == "INVERSE"
    ):
        shown = 1 - shown
    shown[_padding(stored, tags)] = 0
    dtype = np.uint8 if bits <= 8 else np.uint16
    table: GreyImage = np.rint(shown * np.iinfo(dtype).max).astype(dtype)
    return table


def is_signed(tags: Tags) -> bool:
    """Whether stored values are two's complement. Raises UnreadableImage where this is not said."""
    return tags.integer("PixelRepresentation") == 1


def look_up(table: GreyImage, stored: npt.NDArray[Any]) -> GreyImage:
    """The grey of stored pixels, shape (H, W), all of which `table` has an entry for.

    `table`: as `display_table` gives it. For signed pixels its middle is that of 0.
    """
    lowest = -len(table) // 2 if stored.dtype.kind == "i" else 0
    if stored.dtype == table.dtype and np.array_equal(table, np.arange(len(table))):
        return stored
    grey = np.empty(stored.shape, table.dtype)
    # in blocks: an index of the whole image would take eight bytes a pixel
    for start in range(0, len(stored), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        grey[rows] = table[stored[rows].astype(np.int32) - lowest]
    return grey


def _modality(stored: npt.NDArray[np.int64], tags: Tags) -> tuple[Values, float, float]:
    """Values of the modality's own scale, and the two that the possible range ends with."""
    sequence = tags.items("ModalityLUTSequence")
    if sequence:
        signed = bool(stored[0] < 0)
        entries, first, depth = _lut(sequence[0], "ModalityLUTSequence", signed)
        white = 2 ** _depth_used(entries, depth) - 1
        return _through(stored, entries, first), 0.0, float(white)
    values = stored.astype(np.float64)
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    if slope is not None and intercept is not None:
        with np.errstate(over="ignore"):
            values = values * slope + intercept
        if not np.isfinite(values).all():
            raise BadGreyScale(f"its RescaleSlope {slope:g} makes values larger than any number")
    # a negative slope turns the range round, as it turns the picture
    return values, float(values.min()), float(values.max())


def _voi(values: Values, tags: Tags) -> Values | None:
    """0 (black) to 1 (white) by the first VOI LUT or window; None where there is neither."""
    sequence = tags.items("VOILUTSequence")
    if sequence:
        # the first value is signed where those that it is looked up with can be (C.11.2.1.1)
        entries, first, depth = _lut(sequence[0], "VOILUTSequence", bool(values.min() < 0))
        white = 2 ** _depth_used(entries, depth) - 1
        shown: Values = np.minimum(_through(values, entries, first) / white, 1.0)
        return shown
    centre, width = tags.number("WindowCenter"), tags.number("WindowWidth")
    if centre is None or width is None:
        return None
    # a separate data set: with slope and intercept in it, pydicom would give another range too
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter = DSfloat(centre, auto_format=True)
    window.WindowWidth = DSfloat(width, auto_format=True)
    if function := tags.text("VOILUTFunction").upper():
        window.VOILUTFunction = function
    try:
        # exp() of a sigmoid far below its centre is beyond any number, which makes it black
        with np.errstate(over="ignore"):
            windowed = apply_windowing(values, window)
    except (ValueError, TypeError, IndexError) as error:
        raise BadGreyScale(
            "its WindowWidth must be at least 1 (above 0 for LINEAR_EXACT and SIGMOID) and its "
            "VOILUTFunction LINEAR, LINEAR_EXACT or SIGMOID"
        ) from error
    return np.asarray(windowed / 65535, dtype=np.float64)


def _depth_used(entries: Values, depth: int) -> int:
    """Bits of a LUT's entries: those that they use, where that is more or two fewer than declared.

    A LUT of 12 bits that is declared as 16 would be nearly black, and one that is declared as 8
    nearly white. One that ends above a quarter of its range may be meant so.
    """
    used = max(1, int(entries.max()).bit_length())
    return depth if depth - 2 < used <= depth else used


def _through(values: npt.NDArray[np.generic], entries: Values, first: int) -> Values:
    """Each value's entry; those before the first or after the last take that one.

    Not pydicom's apply_voi, whose index has the entries' own type: in a LUT of 8-bit entries it
    starts over after 256.
    """
    place = np.rint(values.astype(np.float64)) - first
    found: Values = entries[np.clip(place, 0, len(entries) - 1).astype(np.int64)]
    return found


def _lut(item: Tags, name: str, signed: bool) -> tuple[Values, int, int]:
    """Entries, the value that the first is for, and bits an entry (PS3.3 C.11.1.1).

    `signed`: whether that value is two's complement. Its VR may say otherwise or, in implicit VR,
    nothing.
    """
    descriptor = item.words("LUTDescriptor")
    if len(descriptor) != 3:
        raise BadGreyScale(f"its {name} has no usable LUTDescriptor and LUTData")
    length, first, depth = (int(number) for number in descriptor)
    # a length of 65536 is written as 0
    length = length or 65536
    if signed and first > 32767:
        first -= 65536
    octets = item.octets("LUTData")
    if length <= len(octets) < 2 * length:
        entries = np.frombuffer(octets, dtype=np.uint8).astype(np.float64)
    else:
        entries = item.words("LUTData").astype(np.float64)
    if not 8 <= depth <= 16 or len(entries) < length:
        raise BadGreyScale(
            f"its {name} has {len(entries)} entries of {depth} bits where {length} of 8 to 16 are "
            "expected"
        )
    return entries[:length], first, depth


def _padding(stored: npt.NDArray[np.int64], tags: Tags) -> npt.NDArray[np.bool_]:
    """Which stored values mean no image (PS3.3 C.7.5.1.1.2)."""
    value, limit = (tags.words(f"PixelPadding{end}")[:1] for end in ("Value", "RangeLimit"))
    if not len(value):
        return np.zeros(stored.shape, dtype=bool)
    ends = np.concatenate([value, limit])
    if stored[0] < 0:
        ends = ends.astype(np.int16).astype(np.int64)
    inside = (stored >= ends.min()) & (stored <= ends.max())
    return np.asarray(inside, dtype=np.bool_)
