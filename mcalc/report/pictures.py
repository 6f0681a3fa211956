"""How figures stand in the report: inside the page, so that it needs no other file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

# Figures are 4 inches wide and shown at up to 400 CSS pixels. Sixty of them keep below 8 MB, even
# where crops are pure noise, as sheets of crops are JPEG and drawings PNG with a palette. The
# crops themselves lie unchanged in the record.
_PHOTO_DPI = 150
_PHOTO_QUALITY = 85
_DRAWING_DPI = 170
_PALETTE = 128


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as the page shows it."""

    source: str
    """`data:image/...;base64,...`; empty where there is none."""
    alternative: str
    """What the figure shows, for those who cannot see it; or why there is none."""


def drawing(figure: Figure, alternative: str) -> Picture:
    """A figure of lines and areas, as PNG with a palette."""
    image = _drawn(figure, _DRAWING_DPI).quantize(_PALETTE, dither=Image.Dither.NONE)
    return Picture(_inline(image, "png"), alternative)


def photo(figure: Figure, alternative: str) -> Picture:
    """A figure of photographs, as JPEG."""
    # subsampling 0: full colour resolution, or coloured titles blur
    image = _drawn(figure, _PHOTO_DPI)
    return Picture(_inline(image, "jpeg", quality=_PHOTO_QUALITY, subsampling=0), alternative)


def _drawn(figure: Figure, dpi: int) -> Image.Image:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")  # nothing is transparent


def _inline(image: Image.Image, form: str, **options: int) -> str:
    stream = io.BytesIO()
    image.save(stream, format=form, optimize=True, **options)
    return f"data:image/{form};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
