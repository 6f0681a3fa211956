"""The pixels of a phantom's film: how many, and how much finer its crops are digitised."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config import PhantomConfig

CROPS_HEIGHT = 2048
"""Rows of a full image whose crops need no finer pixels; more than half of them are enough."""


@dataclass(frozen=True, slots=True)
class FilmGrid:
    """Size of a full image, and how much finer the pixels of its crops are."""

    rows: int
    columns: int
    magnification: int
    """Crop pixels along one pixel of the full image: 1, 2, 4 or 8."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns


def film_grid(settings: PhantomConfig) -> FilmGrid:
    """The grid of `settings.full_height` rows; its width is three quarters of that.

    Crops are 80 to 400 pixels high and wide whatever the full image has. So small full images stay
    cheap and crops keep their detail. Above half of `CROPS_HEIGHT` rows a crop is, as in CBIS-DDSM,
    cut out of the full image as it is.
    """
    magnification = 1
    while 2 * magnification * settings.full_height <= CROPS_HEIGHT:
        magnification *= 2
    return FilmGrid(settings.full_height, settings.full_height * 3 // 4, magnification)
