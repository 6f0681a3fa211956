"""Calcifications drawn after their BI-RADS descriptors.

A calcification is a body of calcium: what the film shows of it is its projected thickness. All
sizes are in crop pixels, taken as 0.05 mm. Descriptors are written as in the CBIS-DDSM case CSVs;
their shapes follow the BI-RADS atlas (American College of Radiology 2013, mammography,
calcifications).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.data.phantom.texture import FloatImage

FILM_BLUR = 1.1
"""Standard deviation (crop pixels) of the Gaussian point spread of screen and film."""
REFERENCE_WIDTH = 170.0
"""Side (crop pixels) of the crop that the counts below are meant for."""

Shape = tuple[int, int]
"""Rows and columns of a crop."""
Points = npt.NDArray[np.float64]
"""(n, 2): x and y in crop pixels."""
Draw = Callable[[Shape, float, float, np.random.Generator], FloatImage]
"""(crop shape, x, y, rng) -> projected thickness of one calcification, about 0..1."""


# --- shapes -------------------------------------------------------------------------------------


def _ball(shape: Shape, x: float, y: float, radius: float) -> FloatImage:
    """Projected thickness of a ball, 1 in its middle."""
    rows, columns = np.ogrid[0 : shape[0], 0 : shape[1]]
    distance_squared = ((rows - y) ** 2 + (columns - x) ** 2) / radius**2
    return np.asarray(np.sqrt(np.clip(1 - distance_squared, 0, None)), dtype=np.float32)


def _shell(shape: Shape, x: float, y: float, radius: float, wall: float) -> FloatImage:
    """Projected thickness of a hollow ball: bright at its rim. `wall` is a share of the radius."""
    hollow = 1 - wall
    thickness = _ball(shape, x, y, radius) - hollow * _ball(shape, x, y, radius * hollow)
    return np.asarray(thickness / np.sqrt(1 - hollow**2), dtype=np.float32)


def _fixed_point(points: Points) -> npt.NDArray[np.int32]:
    """Points in OpenCV's fixed-point coordinates, a sixteenth of a pixel (`shift=4`)."""
    return np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)


def _polygon(shape: Shape, points: Points) -> FloatImage:
    """Coverage 0..1 of a filled outline, antialiased."""
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(points)], 255, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / np.float32(255)


def _line(shape: Shape, points: Points, width: int) -> FloatImage:
    """Coverage 0..1 of a line, antialiased."""
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.polylines(canvas, [_fixed_point(points)], False, 255, width, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / np.float32(255)


def _polar(distance: npt.ArrayLike, angle: npt.NDArray[np.float64]) -> Points:
    """Points at these distances and angles (radians) from the origin."""
    return np.column_stack([distance * np.cos(angle), distance * np.sin(angle)])


def _wandering_course(
    x: float, y: float, angle: float, length: float, wander: float, rng: np.random.Generator
) -> Points:
    """A line that starts at (x, y) and bends a little (`wander`, radians) at every third pixel."""
    steps = max(int(length / 3), 2)
    angles = angle + np.cumsum(rng.normal(0, wander, steps))
    moves = _polar(3, angles)
    start = np.array([[x, y]])
    return np.concatenate([start, start + np.cumsum(moves, axis=0)])


def _lumps(shape: Shape, rng: np.random.Generator) -> FloatImage:
    """Uneven calcium, 0.3 to 1.3: granules of about six pixels, as in casts and debris."""
    granules = rng.uniform(0.3, 1.3, (shape[0] // 6 + 1, shape[1] // 6 + 1)).astype(np.float32)
    lumps = cv2.resize(granules, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(lumps, dtype=np.float32)


def _balls(smallest: float, largest: float) -> Draw:
    """Balls with a radius (crop pixels) between these two."""
    return lambda shape, x, y, rng: _ball(shape, x, y, rng.uniform(smallest, largest))


def _shells(radius: tuple[float, float], wall: tuple[float, float]) -> Draw:
    """Shells with radius (crop pixels) and wall (share of it) between these two each."""
    return lambda shape, x, y, rng: _shell(shape, x, y, rng.uniform(*radius), rng.uniform(*wall))


_LUCENT_CENTER = _shells((9, 18), (0.3, 0.45))


def _coarse(shape: Shape, x: float, y: float, rng: np.random.Generator) -> FloatImage:
    """Popcorn: a few balls grown together."""
    lobes = [
        _ball(shape, x + rng.normal(0, 6), y + rng.normal(0, 6), rng.uniform(6, 12))
        for _ in range(int(rng.integers(3, 6)))
    ]
    return np.asarray(np.max(lobes, axis=0), dtype=np.float32)


def _vascular(shape: Shape, x: float, y: float, rng: np.random.Generator) -> FloatImage:
    """Two parallel tracks: the calcified walls of one vessel."""
    angle = rng.uniform(0, np.pi)
    length = 0.7 * min(shape)
    across = rng.uniform(4, 7) * np.array([-np.sin(angle), np.cos(angle)])
    start_x, start_y = x - length / 2 * np.cos(angle), y - length / 2 * np.sin(angle)
    course = _wandering_course(start_x, start_y, angle, length, 0.06, rng)
    walls = _line(shape, course, 2) + _line(shape, course + across, 2)
    return np.asarray(np.minimum(walls, 1), dtype=np.float32)


def _amorphous(shape: Shape, x: float, y: float, rng: np.random.Generator) -> FloatImage:
    """Hazy: so small and blurred that no shape can be seen."""
    blurred = cv2.GaussianBlur(_ball(shape, x, y, rng.uniform(2.5, 5)), (0, 0), 2.0)
    return np.asarray(blurred, dtype=np.float32)


def _pleomorphic(shape: Shape, x: float, y: float, rng: np.random.Generator) -> FloatImage:
    """An irregular polygon; sizes and densities vary from one to the next."""
    corners = int(rng.integers(5, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(1.8, 6.0) * rng.uniform(0.5, 1.4, corners)
    points = np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
    return _polygon(shape, points) * _lumps(shape, rng) * np.float32(rng.uniform(0.7, 1.4))


def _fine_linear_branching(
    shape: Shape, x: float, y: float, rng: np.random.Generator
) -> FloatImage:
    """The cast of a duct: a thin curve with one to three side branches."""
    angle = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(22, 50)
    start_x, start_y = x - length / 2 * np.cos(angle), y - length / 2 * np.sin(angle)
    stem = _wandering_course(start_x, start_y, angle, length, 0.18, rng)
    thickness = _line(shape, stem, int(rng.integers(1, 4)))
    for _ in range(int(rng.integers(1, 4))):
        fork_x, fork_y = stem[rng.integers(1, len(stem))]
        turn = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        branch = _wandering_course(fork_x, fork_y, turn, length * rng.uniform(0.3, 0.6), 0.2, rng)
        thickness = np.maximum(thickness, _line(shape, branch, int(rng.integers(1, 3))))
    return thickness * _lumps(shape, rng) * np.float32(rng.uniform(0.8, 1.4))


@dataclass(frozen=True, slots=True)
class _Morphology:
    """How calcifications of one descriptor look."""

    draw: Draw
    density: float
    """Optical thickness of one calcification."""
    fewest: int
    most: int
    """How many a crop of `REFERENCE_WIDTH` shows."""
    grows_with_crop: bool = False
    """Whether larger crops show more, as clusters do."""


# Benign calcifications are few, smooth and soft; malignant ones many, dense and irregular.
_MORPHOLOGIES: dict[str, _Morphology] = {
    "ROUND_AND_REGULAR": _Morphology(_balls(6, 12), 0.24, 1, 4),
    "PUNCTATE": _Morphology(_balls(2.5, 4.5), 0.24, 3, 8),
    "LUCENT_CENTER": _Morphology(_LUCENT_CENTER, 0.26, 1, 3),
    "LUCENT_CENTERED": _Morphology(_LUCENT_CENTER, 0.26, 1, 3),
    "EGGSHELL": _Morphology(_shells((12, 22), (0.08, 0.15)), 0.26, 1, 2),
    "COARSE": _Morphology(_coarse, 0.30, 1, 2),
    "VASCULAR": _Morphology(_vascular, 0.20, 1, 1),
    "AMORPHOUS": _Morphology(_amorphous, 0.40, 12, 25, grows_with_crop=True),
    "PLEOMORPHIC": _Morphology(_pleomorphic, 1.0, 22, 45, grows_with_crop=True),
    "FINE_LINEAR_BRANCHING": _Morphology(_fine_linear_branching, 1.1, 7, 14, grows_with_crop=True),
}
CALCIFICATION_TYPES = tuple(_MORPHOLOGIES)


# --- arrangement --------------------------------------------------------------------------------


def _clustered(count: int, rng: np.random.Generator) -> Points:
    return rng.normal(0, 0.14, (count, 2))


def _linear(count: int, rng: np.random.Generator) -> Points:
    angle = rng.uniform(0, np.pi)
    along, across = rng.uniform(-0.4, 0.4, count), rng.normal(0, 0.035, count)
    x = along * np.cos(angle) - across * np.sin(angle)
    y = along * np.sin(angle) + across * np.cos(angle)
    return np.column_stack([x, y])


def _segmental(count: int, rng: np.random.Generator) -> Points:
    """A wedge with its tip towards the nipple, as one duct and its lobes."""
    distance = 0.75 * np.sqrt(rng.uniform(0, 1, count))
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.4, 0.4, count)
    wedge = _polar(distance, angle)
    return np.asarray(wedge - wedge.mean(axis=0), dtype=np.float64)


def _regional(count: int, rng: np.random.Generator) -> Points:
    distance = 0.36 * np.sqrt(rng.uniform(0, 1, count))
    return _polar(distance, rng.uniform(0, 2 * np.pi, count))


def _scattered(count: int, rng: np.random.Generator) -> Points:
    return rng.uniform(-0.45, 0.45, (count, 2))


_ARRANGEMENTS: dict[str, Callable[[int, np.random.Generator], Points]] = {
    "CLUSTERED": _clustered,
    "LINEAR": _linear,
    "SEGMENTAL": _segmental,
    "REGIONAL": _regional,
    "DIFFUSELY_SCATTERED": _scattered,
}
CALCIFICATION_DISTRIBUTIONS = tuple(_ARRANGEMENTS)


def calcification_density(
    shape: Shape, types: tuple[str, ...], distribution: str, subtlety: int, rng: np.random.Generator
) -> FloatImage:
    """Optical thickness of a lesion's calcifications after the film's point spread.

    Args:
        shape: rows and columns of the crop.
        types: of `CALCIFICATION_TYPES`; several are drawn together.
        distribution: of `CALCIFICATION_DISTRIBUTIONS`, which arranges them about the middle.
        subtlety: 1 (subtle, fainter) to 5 (obvious, denser).
        rng: where number, places and shapes come from.

    Returns:
        float32 of that shape, 0 where there is no calcium; see `expose`.
    """
    density = np.zeros(shape, dtype=np.float32)
    growth = np.sqrt(shape[0] * shape[1]) / REFERENCE_WIDTH
    contrast = 0.70 + 0.10 * subtlety
    for name in types:
        look = _MORPHOLOGIES[name]
        count = float(rng.integers(look.fewest, look.most + 1)) / len(types)
        number = max(round(count * growth) if look.grows_with_crop else round(count), 1)
        places = np.clip(_ARRANGEMENTS[distribution](number, rng), -0.45, 0.45)
        places = (places + 0.5) * np.array([shape[1], shape[0]])
        for x, y in places:
            one = look.draw(shape, float(x), float(y), rng)
            # Overlapping bodies do not add up to white: the denser one shows.
            density = np.maximum(density, np.float32(look.density * contrast) * one)
    return np.asarray(cv2.GaussianBlur(density, (0, 0), FILM_BLUR), dtype=np.float32)


def expose(film: FloatImage, density: FloatImage) -> FloatImage:
    """Film brightness (0..1) with calcium of this optical thickness in the beam (Beer-Lambert)."""
    return np.asarray(1 - (1 - film) * np.exp(-density), dtype=np.float32)
