"""How figures stand in the report: inside the page, or as files in a folder beside it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mcalc.atomic_write import write_binary

# Figures are 4 inches wide and shown at up to 400 CSS pixels. A page with those of forty trials
# keeps below 10 MB, as sheets of crops are JPEG and drawings PNG with a palette. The crops
# themselves lie unchanged in the record.
_PHOTO_DPI = 150
_PHOTO_QUALITY = 70
_DRAWING_DPI = 170
_PALETTE = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as the page shows it."""

    source: str
    """`data:image/...;base64,...`, or an address relative to the page; empty where there is
    none."""
    alternative: str
    """What the figure shows, for those who cannot see it; or why there is none."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels, so that a page does not jump as pictures come; zero where there
    is none."""
    kind: str = "drawing"
    """`drawing` (dark pages invert its lightness) or `photo`."""
    lazy: bool = False
    """Whether a browser loads it only as it comes into sight."""

    def html(self) -> Markup:
        """The `<img>` element, or the reason in words where there is no picture."""
        if not self.source:
            return Markup('<p class="none">{}</p>').format(self.alternative)
        size = Markup(' width="{}" height="{}"').format(*self.size)
        lazy = Markup(' loading="lazy" decoding="async"') if self.lazy else ""
        return Markup('<img class="{}" src="{}" alt="{}"{}{}>').format(
            self.kind, self.source, self.alternative, size, lazy
        )


class PictureStore(Protocol):
    """Where a page's pictures go. Names are unique in one page: `1a2b3c4d-curve`."""

    def drawing(self, figure: Figure, name: str, alternative: str) -> Picture:
        """A figure of lines and areas."""
        ...

    def photo(self, figure: Figure, name: str, alternative: str) -> Picture:
        """A figure of photographs."""
        ...


class InlinePictures:
    """Pictures inside the page, which then needs no other file."""

    def drawing(self, figure: Figure, name: str, alternative: str) -> Picture:
        """PNG with a palette."""
        image = _as_drawing(figure)
        return Picture(_inline(_png(image), "png"), alternative, image.size)

    def photo(self, figure: Figure, name: str, alternative: str) -> Picture:
        """JPEG."""
        image = _drawn(figure, _PHOTO_DPI)
        return Picture(_inline(_jpeg(image), "jpeg"), alternative, image.size, "photo")


class FolderPictures:
    """Pictures as files of a folder beside the page, loaded as they come into sight."""

    def __init__(self, page_folder: Path, name: str) -> None:
        """Keep the files in `page_folder / name`, which is made as the first is written."""
        self._page_folder = page_folder
        self._name = name

    def drawing(self, figure: Figure, name: str, alternative: str) -> Picture:
        """PNG with a palette. Raises OSError where it cannot be written."""
        image = _as_drawing(figure)
        source = self._keep(_png(image), f"{_file_name(name)}.png")
        return Picture(source, alternative, image.size, lazy=True)

    def photo(self, figure: Figure, name: str, alternative: str) -> Picture:
        """JPEG. Raises OSError where it cannot be written."""
        image = _drawn(figure, _PHOTO_DPI)
        source = self._keep(_jpeg(image), f"{_file_name(name)}.jpg")
        return Picture(source, alternative, image.size, "photo", lazy=True)

    def _keep(self, content: bytes, name: str) -> str:
        with write_binary(self._page_folder / self._name / name) as file:
            file.write(content)
        return f"{self._name}/{name}"


def _as_drawing(figure: Figure) -> Image.Image:
    return _drawn(figure, _DRAWING_DPI).quantize(_PALETTE, dither=Image.Dither.NONE)


def _drawn(figure: Figure, dpi: int) -> Image.Image:
    # the canvas itself: to write a PNG and to read it again takes a tenth of the time of a page
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # all is opaque


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    # the highest level takes five times as long for a twentieth of the bytes
    image.save(stream, format="png", compress_level=6)
    return stream.getvalue()


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    # subsampling 0: full colour resolution, or coloured titles blur
    image.save(stream, format="jpeg", optimize=True, quality=_PHOTO_QUALITY, subsampling=0)
    return stream.getvalue()


def _inline(content: bytes, form: str) -> str:
    return f"data:image/{form};base64," + base64.b64encode(content).decode("ascii")


def _file_name(name: str) -> str:
    """Only what every file system and address takes as it stands."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
