"""The record of one lesion, and of what was found wrong on the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Side(StrEnum):
    """Which breast."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


class View(StrEnum):
    """Craniocaudal or mediolateral oblique."""

    CC = "CC"
    MLO = "MLO"


class Pathology(StrEnum):
    """What was verified; BENIGN_WITHOUT_CALLBACK needed no further look."""

    BENIGN = "BENIGN"
    BENIGN_WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"
    MALIGNANT = "MALIGNANT"


class Split(StrEnum):
    """The official split that a row's CSV belongs to."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Lesion:
    """One row of the case CSVs and the files that show it."""

    id: str
    """`Calc-Training_P_00005_RIGHT_CC_1`: unique in a download."""
    patient: str
    side: Side
    view: View
    abnormality: int
    """Number of the lesion on its image, from 1."""
    density: int | None
    """BI-RADS breast density 1..4; None where the CSV says 0 or nothing."""
    calc_types: tuple[str, ...]
    """Descriptors in the row's order; `N/A` gives none."""
    calc_distributions: tuple[str, ...]
    assessment: int
    """BI-RADS assessment 0..5."""
    pathology: Pathology
    subtlety: int
    """1 (subtle) to 5 (obvious)."""
    split: Split
    crop: Path | None
    """The region TCIA cut out around the lesion; None where it is not on disk."""
    mask: Path | None = None
    full: Path | None = None

    @property
    def label(self) -> int:
        """1 malignant (positive), 0 benign."""
        return int(self.pathology is Pathology.MALIGNANT)

    @property
    def image(self) -> str:
        """The mammogram that the lesion lies on; lesions of one image share it."""
        return self.id.rsplit("_", 1)[0]


class DefectKind(StrEnum):
    """What can be wrong with a download."""

    CROP_MISSING = "crop missing"
    CROP_UNREADABLE = "crop unreadable"
    MASK_MISSING = "mask missing"
    FULL_MISSING = "full image missing"
    SWAPPED = "crop and mask swapped"
    LABEL_CONFLICT = "lesions of one image differ in label"
    DUPLICATE_ROW = "row stands twice"
    BAD_VALUE = "value not understood"
    UNSAFE_PATH = "path leaves the data root"


@dataclass(frozen=True, slots=True)
class Defect:
    """One row of the ledger."""

    lesion: str
    kind: DefectKind
    detail: str
    """What was found, with the file; no absolute path outside the data root, no header values."""
    action: str
    """What was done about it."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a download holds."""

    root: Path
    layout: str
    """`kaggle`, `nbia`, `legacy`, or several joined by `+`."""
    lesions: tuple[Lesion, ...]
    """In CSV order. A lesion whose crop is missing stays in, with crop None."""
    ledger: tuple[Defect, ...]
