"""Who has what in the phantom: patients, views, lesions, their descriptors and labels.

`difficulty` d moves one thing. Every lesion has a look, benign or malignant, from which its
descriptors and so its picture are drawn. Its look is that of its label with probability 1 - d/2
and the other one else: each class's pictures come from (1 - d/2) own + (d/2) other. At 0 look and
label agree; at 1 both classes draw from one distribution, so that the picture tells nothing of
the label.

Shares of pathology, assessment, subtlety and density are CBIS-DDSM's (computed from its case
CSVs); descriptors follow the literature (BI-RADS atlas 2013): round, punctate, lucent-centred and
scattered in benign looks, pleomorphic and fine linear branching, clustered, linear and segmental
in malignant ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeVar

import numpy as np

from mcalc.config import PhantomConfig
from mcalc.data.phantom_texture import MAGNIFICATION
from mcalc.data.records import Pathology, Side, Split, View

SMALLEST_SIDE, LARGEST_SIDE = 80, 400
"""Sides of crops, in crop pixels."""

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
"""The radiologist's verdict goes with the pathology at any difficulty: no picture shows it."""
_DENSITY = {1: 0.11, 2: 0.33, 3: 0.35, 4: 0.21}

_SIZE_SPREAD = 0.30
"""Standard deviation of the logarithm of a lesion's size."""
_SIDE_SPREAD = 0.24
"""Standard deviation of the logarithm of a crop's side about it, from view to view."""
_MALIGNANT_GROWTH = 0.04
"""How much larger malignant looks are, in the logarithm: size alone has an AUC below 0.55."""
_TYPICAL_SIDE = 165.0

# Quirks stand at fixed places of the list, so that even the smallest phantom has each of them.
_SWAPPED_EVERY, _SWAPPED_AT = 40, 5
_NO_DENSITY_EVERY, _NO_DENSITY_AT = 120, 3
_NO_TYPE_EVERY, _NO_TYPE_AT = 50, 2
_NO_DISTRIBUTION_EVERY, _NO_DISTRIBUTION_AT = 8, 4
_TEST_EVERY, _TEST_AT = 6, 1

_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One lesion of a breast; every view shows the same one."""

    pathology: Pathology
    types: tuple[str, ...]
    distribution: str
    subtlety: int
    assessment: int
    size: float
    """Geometric mean of a crop's sides, in crop pixels, before views vary it."""


@dataclass(frozen=True, slots=True)
class PhantomRow:
    """One row of the case CSVs: a finding in one view."""

    number: int
    """From 0, in the order of generation."""
    patient: int
    """From 1."""
    side: Side
    view: View
    abnormality: int
    """From 1."""
    density: int
    """BI-RADS breast density 1..4 that the film shows."""
    finding: Finding
    height: int
    width: int
    """Sides of the crop in crop pixels, multiples of `MAGNIFICATION`."""
    in_upper_half: bool
    """Which half of the film shows it: two lesions of a film never overlap."""

    @property
    def split(self) -> Split:
        """About one patient in six is in the test split, never on both sides."""
        return Split.TEST if self.patient % _TEST_EVERY == _TEST_AT + 1 else Split.TRAIN

    @property
    def patient_id(self) -> str:
        """`P_00005`."""
        return f"P_{self.patient:05d}"

    @property
    def image_case(self) -> str:
        """`Calc-Training_P_00005_RIGHT_CC`."""
        prefix = "Calc-Test" if self.split is Split.TEST else "Calc-Training"
        return f"{prefix}_{self.patient_id}_{self.side}_{self.view}"

    @property
    def lesion_case(self) -> str:
        """`Calc-Training_P_00005_RIGHT_CC_1`."""
        return f"{self.image_case}_{self.abnormality}"

    @property
    def swapped(self) -> bool:
        """Whether crop and mask lie under each other's path, as for some rows of CBIS-DDSM."""
        return self.number % _SWAPPED_EVERY == _SWAPPED_AT

    @property
    def density_written(self) -> int:
        """As in the CSV, where 0 stands for unknown now and then."""
        return 0 if self.number % _NO_DENSITY_EVERY == _NO_DENSITY_AT else self.density

    @property
    def types_written(self) -> str:
        """As in the CSV, where `NA` stands now and then."""
        unknown = self.number % _NO_TYPE_EVERY == _NO_TYPE_AT
        return "NA" if unknown else "-".join(self.finding.types)

    @property
    def distribution_written(self) -> str:
        """As in the CSV, where `NA` stands now and then."""
        unknown = self.number % _NO_DISTRIBUTION_EVERY == _NO_DISTRIBUTION_AT
        return "NA" if unknown else self.finding.distribution


def generator(seed: int, purpose: int, *place: int) -> np.random.Generator:
    """A random generator of its own for one purpose and one place (patient, view, lesion).

    What is drawn in one place so depends neither on other places nor on how many there are.
    """
    return np.random.default_rng([purpose, *place, seed])


_FOR_PATIENT, _FOR_FINDING, _FOR_ROW, _FOR_PHASE = 1, 2, 3, 4


def phantom_rows(settings: PhantomConfig) -> tuple[PhantomRow, ...]:
    """The first `settings.lesions` rows of the endless list that seed and difficulty define.

    Rows of one patient and of one image stand together, as in the real CSVs.
    """
    return tuple(islice(_all_rows(settings), settings.lesions))


def _all_rows(settings: PhantomConfig) -> Iterator[PhantomRow]:
    number = count()
    phase = generator(settings.seed, _FOR_PHASE).uniform()
    for patient in count(1):
        rng = generator(settings.seed, _FOR_PATIENT, patient)
        side = Side.LEFT if rng.uniform() < 0.53 else Side.RIGHT
        views = (View.CC, View.MLO) if rng.uniform() < 0.8 else (rng.choice(list(View)),)
        density = _draw(_DENSITY, rng)
        abnormalities = (1, 2) if rng.uniform() < 0.13 else (1,)
        first_in_upper_half = bool(rng.uniform() < 0.5)
        # Steps of the golden ratio spread evenly over the shares, so that a small phantom has
        # every pathology too.
        pathology = _at_quantile(_PATHOLOGY_SHARES, (phase + patient * _GOLDEN_RATIO) % 1)
        findings = {
            abnormality: _finding(settings, patient, abnormality, pathology)
            for abnormality in abnormalities
        }
        for view_number, view in enumerate(views):
            for abnormality, finding in findings.items():
                height, width = _crop_shape(
                    finding.size,
                    generator(settings.seed, _FOR_ROW, patient, view_number, abnormality),
                )
                yield PhantomRow(
                    number=next(number),
                    patient=patient,
                    side=side,
                    view=View(view),
                    abnormality=abnormality,
                    density=density,
                    finding=finding,
                    height=height,
                    width=width,
                    in_upper_half=first_in_upper_half == (abnormality == 1),
                )


def _finding(
    settings: PhantomConfig, patient: int, abnormality: int, patient_pathology: Pathology
) -> Finding:
    rng = generator(settings.seed, _FOR_FINDING, patient, abnormality)
    # In CBIS-DDSM 11 of 222 images with several lesions show lesions of different labels.
    differs = abnormality > 1 and rng.uniform() < 0.05
    pathology = _draw(_PATHOLOGY_SHARES, rng) if differs else patient_pathology
    label_is_malignant = pathology is Pathology.MALIGNANT
    looks_like_its_label = rng.uniform() >= settings.difficulty / 2
    looks_malignant = label_is_malignant == looks_like_its_label
    return Finding(
        pathology=pathology,
        types=_draw(_TYPES[looks_malignant], rng),
        distribution=_draw(_DISTRIBUTIONS[looks_malignant], rng),
        subtlety=_draw(_SUBTLETY[looks_malignant], rng),
        assessment=_draw(_ASSESSMENT[pathology], rng),
        size=_TYPICAL_SIDE
        * float(np.exp(rng.normal(_MALIGNANT_GROWTH * looks_malignant, _SIZE_SPREAD))),
    )


def _crop_shape(size: float, rng: np.random.Generator) -> tuple[int, int]:
    """(rows, columns) of a crop, in whole pixels of the full image."""
    sides = size * np.exp(rng.normal(0, _SIDE_SPREAD, 2))
    whole = np.round(np.clip(sides, SMALLEST_SIDE, LARGEST_SIDE) / MAGNIFICATION)
    height, width = (int(side) * MAGNIFICATION for side in whole)
    return height, width


def _draw(shares: Mapping[_T, float], rng: np.random.Generator) -> _T:
    return _at_quantile(shares, float(rng.uniform()))


def _at_quantile(shares: Mapping[_T, float], quantile: float) -> _T:
    """The key at that place (0 up to below 1) of the cumulative shares."""
    edges = np.cumsum(list(shares.values()))
    place = int(np.searchsorted(edges / edges[-1], quantile, side="right"))
    return list(shares)[place]
