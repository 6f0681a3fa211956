"""The phantom's whole film before calcifications: breast, muscle, skin, and what lies beside them.

Film is drawn with the chest wall at column 0, which right breasts are mirrored from. Sizes are
shares of the film, so that a film looks alike at any resolution. Beside the breast lie what a
reader has to take away again: fog, the plate with lead marks that names side and view (here a
block of dots that nobody can read), and the bright edge that some digitised films have.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.data.phantom.grid import FilmGrid
from mcalc.data.phantom.texture import TEXTURE_CONTRAST, FloatImage, power_law_field

AIR = 0.03
"""Brightness of film that only base and fog darken least: the background."""
FOG = 0.4
"""Largest relative change of the background from one edge of the film to the other."""
NEAREST_REACH, FARTHEST_REACH = 0.78, 0.92
"""How far the breast reaches from the chest wall, shares of the film's columns."""
MUSCLE_CONTRAST = 0.12
SKIN_CONTRAST = 0.10
SKIN_THICKNESS = 0.012
"""Share of the breast's reach."""
EDGED_FILMS = 0.35
"""Share of films with a bright edge."""

_Column = npt.NDArray[np.float32]


def breast_film(
    view_is_mlo: bool, density: int, grid: FilmGrid, rng: np.random.Generator
) -> FloatImage:
    """A full film without calcifications and without noise, chest wall at column 0.

    Args:
        view_is_mlo: the mediolateral oblique view hangs lower, leaves the film at its upper edge
            and shows the pectoral muscle in that corner.
        density: BI-RADS breast density 1 (fatty) to 4 (extremely dense).
        grid: the film's pixels.
        rng: where outline, texture and marks come from.

    Returns:
        float32 brightness of `grid.shape`, 0..1.
    """
    radius = _outline_radius(view_is_mlo, grid, rng)
    # Compression keeps thickness even; it only falls off towards the skin.
    thickness = np.clip(1 - radius**2, 0, None) ** np.float32(0.35)
    # Ducts and ligaments run towards the nipple, so structures are longer along x.
    film = power_law_field(grid.shape, rng, stretch=1.3)
    film *= np.float32(TEXTURE_CONTRAST)
    film += np.float32(0.34 + 0.03 * density)
    if view_is_mlo:
        film += np.float32(MUSCLE_CONTRAST) * _pectoral_muscle(grid, rng)
    film *= thickness
    depth = (1 - radius) / np.float32(SKIN_THICKNESS)
    film += np.where(radius < 1, np.float32(SKIN_CONTRAST) * np.exp(-(depth**2)), 0)
    film += _background(grid, rng)
    _set_plate(film, rng)
    if rng.uniform() < EDGED_FILMS:
        _set_edge(film, rng)
    return np.clip(film, 0, 1, out=film)


def _axes(grid: FilmGrid) -> tuple[_Column, _Column]:
    """Rows (rows, 1) and columns (1, columns) as shares of the film, 0..1."""
    y = (np.arange(grid.rows, dtype=np.float32)[:, None] + np.float32(0.5)) / grid.rows
    x = (np.arange(grid.columns, dtype=np.float32)[None, :] + np.float32(0.5)) / grid.columns
    return np.asarray(y, dtype=np.float32), np.asarray(x, dtype=np.float32)


def _outline_radius(view_is_mlo: bool, grid: FilmGrid, rng: np.random.Generator) -> FloatImage:
    """0 in the middle of the chest wall, 1 on the skin, more in air; a nipple stands out."""
    y, x = _axes(grid)
    if view_is_mlo:
        middle = rng.uniform(0.53, 0.55)
        upper, lower = rng.uniform(0.60, 0.66), rng.uniform(0.42, 0.44)
    else:
        middle = rng.uniform(0.49, 0.51)
        upper, lower = rng.uniform(0.455, 0.47), rng.uniform(0.455, 0.47)
    reach = rng.uniform(NEAREST_REACH, FARTHEST_REACH)
    nipple = middle + rng.uniform(-0.03, 0.03)
    reach_here = reach * (1 + 0.04 * np.exp(-(((y - nipple) / 0.022) ** 2)))
    half = np.where(y < middle, upper, lower).astype(np.float32)
    return np.asarray(np.hypot((y - middle) / half, x / reach_here), dtype=np.float32)


def _pectoral_muscle(grid: FilmGrid, rng: np.random.Generator) -> FloatImage:
    """A wedge in the corner of chest wall and upper edge, 1 inside; its border is soft and bows."""
    y, x = _axes(grid)
    wide, high = rng.uniform(0.30, 0.50), rng.uniform(0.35, 0.60)
    along = np.clip(y / high, 0, 1)
    bow = rng.uniform(0.0, 0.5) * along * (1 - along)
    inward = 1 + bow - x / wide - y / high
    return np.asarray(1 / (1 + np.exp(np.clip(inward * -25, -60, 60))), dtype=np.float32)


def _background(grid: FilmGrid, rng: np.random.Generator) -> FloatImage:
    """Air and fog, a little uneven over the film."""
    y, x = _axes(grid)
    down, across = rng.uniform(-FOG / 2, FOG / 2), rng.uniform(-FOG / 2, FOG / 2)
    return np.asarray(AIR * (1 + down * (y - 0.5) + across * (x - 0.5)), dtype=np.float32)


def _set_plate(film: FloatImage, rng: np.random.Generator) -> None:
    """Lay the marker in the upper or lower corner far from the chest wall, clear of the breast."""
    rows, columns = film.shape
    height, width = max(round(0.06 * rows), 2), max(round(0.16 * columns), 2)
    top = round(rng.uniform(0.025, 0.045) * rows)
    if rng.uniform() < 0.3:
        top = rows - top - height
    left = round(rng.uniform(0.75, 0.79) * columns)
    dots = np.zeros((7, 15), dtype=np.float32)
    dots[1:-1, 1:-1] = rng.uniform(size=(5, 13)) < 0.6
    marks = cv2.resize(dots, (width, height), interpolation=cv2.INTER_NEAREST)
    plate = np.float32(rng.uniform(0.12, 0.25))
    lead = np.float32(rng.uniform(0.75, 0.95))
    film[top : top + height, left : left + width] = plate + (lead - plate) * marks


def _set_edge(film: FloatImage, rng: np.random.Generator) -> None:
    """Light that came past the film: a bright strip at its lower and outer edge."""
    rows, columns = film.shape
    width = max(round(rng.uniform(0.002, 0.006) * rows), 1)
    light = np.float32(rng.uniform(0.5, 0.9))
    film[rows - width :] = light
    film[:, columns - width :] = light
