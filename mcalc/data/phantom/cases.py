"""Who has what in the phantom: patients, views, lesions, their descriptors and labels.

`difficulty` d moves one thing. Every lesion has a look, benign or malignant, from which its
descriptors and so its image are drawn. With probability 1 - d/2 it is the look of its label, else
the other one. At 0 look and label agree. At 1 both classes draw from one distribution, so that an
image says nothing about the label.

Shares of pathology, assessment, subtlety, density, breasts a patient, views a breast and lesions
an image are CBIS-DDSM's (computed from its case CSVs), so that 1872 rows are of about 753 patients
and 1511 images. Descriptors follow the literature (BI-RADS atlas 2013): round, punctate,
lucent-centred and scattered in benign looks, pleomorphic and fine linear branching, clustered,
linear and segmental in malignant ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from typing import TypeVar

import numpy as np

from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_row import Box, Finding, PhantomRow
from mcalc.data.phantom.grid import FilmGrid, film_grid
from mcalc.data.records import Pathology, Side, View

SHORTEST_EDGE, LONGEST_EDGE = 80, 400
"""Height and width of crops, in crop pixels; smaller on a crowded or a tiny film."""

_PATHOLOGY_SHARES = {
    Pathology.MALIGNANT: 673 / 1872,
    Pathology.BENIGN: 658 / 1872,
    Pathology.BENIGN_WITHOUT_CALLBACK: 541 / 1872,
}
_TYPES: dict[bool, dict[tuple[str, ...], float]] = {
    False: {
        ("LUCENT_CENTER",): 0.20,
        ("PUNCTATE",): 0.20,
        ("ROUND_AND_REGULAR",): 0.20,
        ("ROUND_AND_REGULAR", "LUCENT_CENTER"): 0.10,
        ("COARSE",): 0.08,
        ("VASCULAR",): 0.07,
        ("LUCENT_CENTERED",): 0.05,
        ("ROUND_AND_REGULAR", "EGGSHELL"): 0.05,
        ("AMORPHOUS",): 0.05,
    },
    True: {
        ("PLEOMORPHIC",): 0.55,
        ("FINE_LINEAR_BRANCHING",): 0.25,
        ("PLEOMORPHIC", "FINE_LINEAR_BRANCHING"): 0.12,
        ("PUNCTATE", "PLEOMORPHIC"): 0.05,
        ("AMORPHOUS",): 0.03,
    },
}
"""Calc types by look (malignant?)."""
_DISTRIBUTIONS: dict[bool, dict[str, float]] = {
    False: {
        "DIFFUSELY_SCATTERED": 0.35,
        "REGIONAL": 0.30,
        "CLUSTERED": 0.25,
        "LINEAR": 0.05,
        "SEGMENTAL": 0.05,
    },
    True: {
        "CLUSTERED": 0.45,
        "SEGMENTAL": 0.25,
        "LINEAR": 0.20,
        "REGIONAL": 0.08,
        "DIFFUSELY_SCATTERED": 0.02,
    },
}
_SUBTLETY: dict[bool, dict[int, float]] = {
    False: {1: 0.05, 2: 0.14, 3: 0.33, 4: 0.24, 5: 0.24},
    True: {1: 0.09, 2: 0.19, 3: 0.31, 4: 0.21, 5: 0.20},
}
_ASSESSMENT: dict[Pathology, dict[int, float]] = {
    Pathology.MALIGNANT: {0: 0.06, 3: 0.08, 4: 0.57, 5: 0.29},
    Pathology.BENIGN: {0: 0.06, 2: 0.03, 3: 0.09, 4: 0.82},
    Pathology.BENIGN_WITHOUT_CALLBACK: {2: 0.98, 3: 0.01, 4: 0.01},
}
"""The radiologist's verdict goes with the pathology at any difficulty: no image shows it."""
_DENSITY = {1: 0.11, 2: 0.33, 3: 0.35, 4: 0.21}

_BOTH_BREASTS = 70 / 753
"""Share of patients with lesions in both breasts."""
_BOTH_VIEWS = 688 / 823
"""Share of breasts that two views show."""
_LESIONS_AN_IMAGE = {1: 1289, 2: 143, 3: 49, 4: 12, 5: 8, 6: 8, 7: 2}
"""Images of CBIS-DDSM by how many lesions they have."""

_SIZE_SPREAD = 0.30
"""Standard deviation of the logarithm of a lesion's size."""
_EDGE_SPREAD = 0.24
"""Standard deviation of the logarithm of a crop's height or width about it, by view."""
_MALIGNANT_GROWTH = 0.04
"""How much larger malignant looks are, in the logarithm: size alone has an AUC below 0.55."""
_TYPICAL_SIZE = 165.0

_FIRST_PATIENTS = 5
"""So many patients have one lesion in one breast, and the first two of them one view: the smallest
phantom has five patients, among whom are both classes and both splits."""
_ARRANGED_ROWS = 64
"""With `defects`, as many rows at least are of patients like those, but for `MIXED_PATIENTS`, so
that there is a separate lesion for each defect."""
MIXED_PATIENTS = (6, 7)
"""With `defects`, patients with one view that shows two lesions."""

# Steps along the shares from one patient to the next. Multiples of an irrational number fall evenly
# on a circle, so that a small phantom has every pathology and any one has the shares wanted.
_PATHOLOGY_STEP = (np.sqrt(5) - 1) / 2
_LESIONS_STEP, _BREASTS_STEP, _VIEWS_STEP = np.sqrt(2), np.sqrt(3), np.sqrt(7)
_T = TypeVar("_T")


def generator(seed: int, purpose: int, *place: int) -> np.random.Generator:
    """A separate random generator for one purpose and one place (patient, view, lesion).

    What is drawn in one place so depends neither on other places nor on how many there are.
    """
    return np.random.default_rng([purpose, *place, seed])


_FOR_PATIENT, _FOR_BREAST, _FOR_FINDING, _FOR_ROW, _FOR_PHASE, _FOR_PLACE = 1, 2, 3, 4, 5, 6


def phantom_rows(settings: PhantomConfig) -> tuple[PhantomRow, ...]:
    """The first `settings.lesions` rows of the endless list that the other settings define.

    Rows of one patient and of one image are together, as in the real CSVs.
    """
    return tuple(islice(_all_rows(settings), settings.lesions))


def _all_rows(settings: PhantomConfig) -> Iterator[PhantomRow]:
    number = count()
    arranged = _ARRANGED_ROWS if settings.defects else 0
    written = 0
    for patient in count(1):
        plain = patient <= _FIRST_PATIENTS or written < arranged
        rng = generator(settings.seed, _FOR_PATIENT, patient)
        first = Side.LEFT if rng.uniform() < 0.53 else Side.RIGHT
        both = _evenly(settings, _BREASTS_STEP, patient) < _BOTH_BREASTS and not plain
        density = _draw(_DENSITY, rng)
        for side in Side if both else (first,):
            for row in _breast_rows(settings, patient, side, density, plain):
                written = next(number)
                yield replace(row, number=written)


def _breast_rows(
    settings: PhantomConfig, patient: int, side: Side, density: int, plain: bool
) -> Iterator[PhantomRow]:
    """The rows of one breast, `number` left at 0."""
    grid = film_grid(settings)
    pathology = _at_quantile(_PATHOLOGY_SHARES, _evenly(settings, _PATHOLOGY_STEP, patient))
    breast = (patient, list(Side).index(side))
    # a patient's other breast counts between that patient and the next
    turn = patient + breast[1] / 2
    alone = list(View)[generator(settings.seed, _FOR_BREAST, *breast).integers(len(View))]
    views = tuple(View) if _evenly(settings, _VIEWS_STEP, turn) < _BOTH_VIEWS else (alone,)
    lesions = _at_quantile(_LESIONS_AN_IMAGE, _evenly(settings, _LESIONS_STEP, turn))
    mixed = settings.defects and patient in MIXED_PATIENTS
    if plain:
        lesions = 2 if mixed else 1
        views = views[:1] if mixed or patient <= 2 else views
    findings = [_finding(settings, breast, 1 + n, pathology) for n in range(lesions)]
    for view in views:
        place = (*breast, list(View).index(view))
        taken: list[Box] = []
        for abnormality, finding in enumerate(findings, start=1):
            size_rng = generator(settings.seed, _FOR_ROW, *place, abnormality)
            place_rng = generator(settings.seed, _FOR_PLACE, *place, abnormality)
            box = _free_box(_crop_shape(finding.size, size_rng), taken, grid, place_rng)
            taken.append(box)
            finer = grid.magnification
            yield PhantomRow(0, patient, side, view, abnormality, density, finding, box, finer)


def _finding(
    settings: PhantomConfig, breast: tuple[int, int], abnormality: int, of_patient: Pathology
) -> Finding:
    rng = generator(settings.seed, _FOR_FINDING, *breast, abnormality)
    # In CBIS-DDSM 11 of 222 images with several lesions show lesions of different labels.
    differs = abnormality > 1 and rng.uniform() < 0.05
    pathology = _draw(_PATHOLOGY_SHARES, rng) if differs else of_patient
    label_is_malignant = pathology is Pathology.MALIGNANT
    looks_like_its_label = rng.uniform() >= settings.difficulty / 2
    looks_malignant = label_is_malignant == looks_like_its_label
    return Finding(
        pathology=pathology,
        types=_draw(_TYPES[looks_malignant], rng),
        distribution=_draw(_DISTRIBUTIONS[looks_malignant], rng),
        subtlety=_draw(_SUBTLETY[looks_malignant], rng),
        assessment=_draw(_ASSESSMENT[pathology], rng),
        size=_TYPICAL_SIZE
        * float(np.exp(rng.normal(_MALIGNANT_GROWTH * looks_malignant, _SIZE_SPREAD))),
    )


def _crop_shape(size: float, rng: np.random.Generator) -> tuple[float, float]:
    """(rows, columns) that a crop would have by itself, in crop pixels."""
    edges = size * np.exp(rng.normal(0, _EDGE_SPREAD, 2))
    rows, columns = np.clip(edges, SHORTEST_EDGE, LONGEST_EDGE)
    return float(rows), float(columns)


_TRIES = 60
"""Places that are tried for a lesion before it is made smaller."""
_HIGHEST, _LOWEST = 0.10, 0.90
"""Rows of the film between which lesions lie, as shares: clear of the breast's ends."""
_REACH = 0.75
"""Columns of the film that lesions reach in the breast's middle: behind the skin of every breast
(`mcalc.data.phantom.film`)."""
_HALF_BREAST = 0.45
_CHEST_WALL = 0.01


def _free_box(
    shape: tuple[float, float], taken: list[Box], grid: FilmGrid, rng: np.random.Generator
) -> Box:
    """A box within the breast that overlaps none of `taken`, smaller where it would not fit.

    `shape`: rows and columns, crop pixels. The box does not depend on lesions that come later.
    """
    # as in real files, no crop has more pixels than its mask, which has the film's
    largest = min(grid.columns, 0.25 * grid.rows * grid.magnification)
    scale = 1.0
    while True:
        height, width = (
            max(int(edge * scale / grid.magnification), 2) for edge in np.minimum(shape, largest)
        )
        for _ in range(_TRIES):
            box = _box_in_breast(height, width, grid, rng)
            if not any(box.overlaps(other) for other in taken):
                return box
        scale *= 0.8


def _box_in_breast(height: int, width: int, grid: FilmGrid, rng: np.random.Generator) -> Box:
    top = round(rng.uniform(_HIGHEST * grid.rows, _LOWEST * grid.rows - height))
    # The breast is narrower towards its upper and lower end.
    middle = grid.rows / 2
    from_middle = max(abs(top - middle), abs(top + height - middle)) / (_HALF_BREAST * grid.rows)
    reach = _REACH * grid.columns * np.sqrt(max(1 - from_middle**2, 0.0))
    nearest = _CHEST_WALL * grid.columns
    left = round(rng.uniform(nearest, max(reach - width, 2 * nearest)))
    return Box(top, left, height, width)


def _evenly(settings: PhantomConfig, step: float, turn: float) -> float:
    """0 up to below 1: turn by turn even over that range, from a place that the seed chooses."""
    start = generator(settings.seed, _FOR_PHASE, round(step * 1000)).uniform()
    return float((start + turn * step) % 1)


def _draw(shares: Mapping[_T, float], rng: np.random.Generator) -> _T:
    return _at_quantile(shares, float(rng.uniform()))


def _at_quantile(shares: Mapping[_T, float], quantile: float) -> _T:
    """The key at that place (0 up to below 1) of the cumulative shares."""
    edges = np.cumsum(list(shares.values()))
    place = int(np.searchsorted(edges / edges[-1], quantile, side="right"))
    return list(shares)[place]
