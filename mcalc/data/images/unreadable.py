"""The error of an image file that cannot be read, and the bounds that are kept before decoding."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcalc.errors import UserError

MAX_PIXELS = 200_000_000
"""Largest image that is decoded; a full mammogram has about 15 to 35 million pixels."""
MAX_SCANNED = 400_000_000
"""Pixels of a JPEG times its scans: a progressive one is gone over once for each scan. Writers use
about ten, and a mammogram of 35 megapixels passes."""
_PYDICOM = r"pydicom\b"
DOWNLOAD_AGAIN = "the file seems damaged, so download or export it again"


class UnreadableImage(UserError):  # noqa: N818 - read as a sentence: `except UnreadableImage`
    """An image file that cannot be turned into grey pixels; the message names file and remedy."""


def refuse_giants(width: int, height: int, path: Path, scans: int = 1) -> None:
    """Raise UnreadableImage for more pixels, or passes over them, than are ever decoded."""
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"{path} claims {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} "
            f"megapixels that are decoded at most: {DOWNLOAD_AGAIN}"
        )
    if scans > 1 and width * height * scans > MAX_SCANNED:
        raise UnreadableImage(
            f"{path} claims {width} x {height} pixels in {scans} scans, more than the "
            f"{MAX_SCANNED // 10**6} megapixels that are gone over at most: export it again, as a "
            "JPEG that is not progressive"
        )


def _silence_pydicom() -> None:
    """Show and log no warning that comes from pydicom's modules.

    For the whole process and not for a block: several threads read files at once, and
    `catch_warnings` in one would undo what another needs.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    first = warnings.filters[0] if warnings.filters else None
    if first is None or first[3] is None or getattr(first[3], "pattern", "") != _PYDICOM:
        warnings.filterwarnings("ignore", module=_PYDICOM)


@contextmanager
def refuse_damage(path: Path, what: str, detail: str = "") -> Iterator[None]:
    """Raise UnreadableImage, `what` (`cannot be ...`) in its message, for any error in the block.

    `detail` is added in brackets; without one the error's type. What libraries say, in errors as in
    warnings, is not passed on: pydicom repeats a header's text.
    """
    _silence_pydicom()
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:  # a damaged file makes parsers and decoders stumble in any way
        why = detail or type(error).__name__
        raise UnreadableImage(f"{path} {what} ({why}): {DOWNLOAD_AGAIN}") from error
