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


def display_table(dataset: Dataset) -> GreyImage:
    """The grey of each possible stored value, lowest first: shape (2**BitsStored,).

    uint8 up to 8 bits stored, else uint16, over the type's full range.

    - A modality LUT, else slope and intercept, come first; where neither is, values stay.
    - A VOI LUT is preferred to a window where both are, as a window is what a viewer may use in its
      place; of several of either, the first. Windows are LINEAR, LINEAR_EXACT or SIGMOID.
    - Where there is no VOI, the possible range (not the one found) goes to the full range.
    - MONOCHROME1, or PresentationLUTShape INVERSE (which means the same), inverts.
    - Pixel padding is black whatever the rest says: no transform changes it.

    Which of tissue and background is bright is what PhotometricInterpretation says;
    PixelIntensityRelationshipSign adds nothing to it.

    Raises BadGreyScale.
    """
    bits = int(dataset.BitsStored)
    lowest = -(2 ** (bits - 1)) if dataset.get("PixelRepresentation") == 1 else 0
    stored = np.arange(lowest, lowest + 2**bits, dtype=np.int64)
    values, low, high = _modality(stored, dataset)
    shown = _voi(values, dataset)
    if shown is None:
        if low == high:
            raise BadGreyScale("its RescaleSlope is 0")
        shown = (values - low) / (high - low)
    if (
        dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        or dataset.get("PresentationLUTShape") == "INVERSE"
    ):
        shown = 1 - shown
    shown[_padding(stored, dataset)] = 0
    dtype = np.uint8 if bits <= 8 else np.uint16
    table: GreyImage = np.rint(shown * np.iinfo(dtype).max).astype(dtype)
    return table


def look_up(table: GreyImage, stored: npt.NDArray[Any]) -> GreyImage:
    """The grey of stored pixels, shape (H, W); `table` as `display_table` gives it.

    Raises BadGreyScale for a value beyond the table.
    """
    bits = len(table).bit_length() - 1
    lowest = -(2 ** (bits - 1)) if stored.dtype.kind == "i" else 0
    if int(stored.min()) < lowest or int(stored.max()) >= lowest + len(table):
        raise BadGreyScale(f"its pixels hold more than the {bits} bits of BitsStored")
    if stored.dtype == table.dtype and np.array_equal(table, np.arange(len(table))):
        return stored
    grey = np.empty(stored.shape, table.dtype)
    # in blocks: an index of the whole image would take eight bytes a pixel
    for start in range(0, len(stored), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        grey[rows] = table[stored[rows].astype(np.int32) - lowest]
    return grey


def _modality(stored: npt.NDArray[np.int64], dataset: Dataset) -> tuple[Values, float, float]:
    """Values of the modality's own scale, and the two that the possible range ends with."""
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        entries, first, depth = _lut(sequence[0], "ModalityLUTSequence")
        return _through(stored, entries, first), 0.0, float(2**depth - 1)
    values = stored.astype(np.float64)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        values = values * float(slope) + float(intercept)
    # a negative slope turns the range round, as it turns the picture
    return values, float(values.min()), float(values.max())


def _voi(values: Values, dataset: Dataset) -> Values | None:
    """0 (black) to 1 (white) by the first VOI LUT or window; None where there is neither."""
    sequence = dataset.get("VOILUTSequence")
    if sequence:
        entries, first, depth = _lut(sequence[0], "VOILUTSequence")
        shown: Values = np.minimum(_through(values, entries, first) / (2**depth - 1), 1.0)
        return shown
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return None
    # a separate data set: with slope and intercept in it, pydicom would give another range too
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if dataset.get(keyword) is not None:
            setattr(window, keyword, dataset.get(keyword))
    try:
        windowed = apply_windowing(values, window)
    except (ValueError, TypeError, IndexError) as error:
        raise BadGreyScale(
            "its WindowWidth must be at least 1 (above 0 for LINEAR_EXACT and SIGMOID) and its "
            "VOILUTFunction LINEAR, LINEAR_EXACT or SIGMOID"
        ) from error
    return np.asarray(windowed / 65535, dtype=np.float64)


def _through(values: npt.NDArray[np.generic], entries: Values, first: int) -> Values:
    """Each value's entry; those before the first or after the last take that one.

    Not pydicom's apply_voi, whose index has the entries' own type: in a LUT of 8-bit entries it
    starts over after 256.
    """
    place = np.rint(values.astype(np.float64)) - first
    found: Values = entries[np.clip(place, 0, len(entries) - 1).astype(np.int64)]
    return found


def _lut(item: Dataset, name: str) -> tuple[Values, int, int]:
    """Entries, the value that the first is for, and bits an entry (PS3.3 C.11.1.1)."""
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    try:
        length, first, depth = (int(number) for number in descriptor)
        # a length of 65536 is written as 0; one above 32767 may have been read as a signed number
        length = length % 65536 or 65536
        if isinstance(data, bytes):
            data = np.frombuffer(data, dtype="<u2" if len(data) >= 2 * length else "<u1")
        entries = np.atleast_1d(np.asarray(data, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise BadGreyScale(f"its {name} has no usable LUTDescriptor and LUTData") from error
    if not 8 <= depth <= 16 or len(entries) < length:
        raise BadGreyScale(
            f"its {name} has {len(entries)} entries of {depth} bits where {length} of 8 to 16 are "
            "expected"
        )
    return entries[:length] % 65536, first, depth


def _padding(stored: npt.NDArray[np.int64], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which stored values mean no image (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    try:
        low, high = sorted(int(end) for end in (value, value if limit is None else limit))
    except (TypeError, ValueError) as error:
        raise BadGreyScale("its PixelPaddingValue is no number") from error
    return (stored >= low) & (stored <= high)
