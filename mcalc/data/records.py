"""What a data set holds: its lesions, its defects, and how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mcalc.config import Region


class Side(StrEnum):
    """Which breast."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


class View(StrEnum):
    """Craniocaudal or mediolateral oblique."""

    CC = "CC"
    MLO = "MLO"


class Pathology(StrEnum):
    """The verified diagnosis; BENIGN_WITHOUT_CALLBACK needed no further look."""

    BENIGN = "BENIGN"
    BENIGN_WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"
    MALIGNANT = "MALIGNANT"


class Split(StrEnum):
    """The official split that a row's CSV belongs to."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One lesion, the files that show it, and what was recorded of it.

    In CBIS-DDSM a row of the case CSVs. What a source does not say is None, or an empty set.
    """

    id: str
    """`Calc-Training_P_00005_RIGHT_CC_1`: unique in a data set."""
    patient: str
    side: Side | None = None
    view: View | None = None
    abnormality: int = 1
    """Number of the lesion on its image, from 1."""
    density: int | None = None
    """BI-RADS breast density 1..4; None where the CSV says 0 or nothing."""
    calc_types: frozenset[str] = frozenset()
    """Descriptors, each one of `case_csv.CALC_TYPES`; `N/A` gives none."""
    calc_distributions: frozenset[str] = frozenset()
    """Each one of `case_csv.CALC_DISTRIBUTIONS`."""
    assessment: int | None = None
    """BI-RADS assessment 0..5."""
    pathology: Pathology
    subtlety: int | None = None
    """1 (subtle) to 5 (obvious)."""
    split: Split | None = None
    """The official split; None where the source has none."""
    crop: Path | None = None
    """The region cut out around the lesion; None where it is not on disk."""
    mask: Path | None = None
    """The lesion's outline on the mammogram, two values."""
    full: Path | None = None
    """The whole mammogram."""
    mammogram: str | None = None
    """The image's id, where it is not the lesion's id without its number."""
    finding_id: str | None = None
    """Names the finding within its breast, the same in every view, where `abnormality` does not."""

    @property
    def label(self) -> int:
        """1 malignant (positive), 0 benign."""
        return int(self.pathology is Pathology.MALIGNANT)

    @property
    def image(self) -> str:
        """The mammogram that the lesion lies on; lesions of one image share it.

        The lesion's id without its number, unless `mammogram` names it.
        """
        return self.mammogram or self.id.rsplit("_", 1)[0]

    @property
    def finding(self) -> str | None:
        """What the lesion shows, maybe in two views: `P_00005_RIGHT_1`. None where it is unknown.

        The breast and the lesion's number, as in CBIS-DDSM, or what `finding_id` says in its place.
        A lesion whose `mammogram` is named has no number that counts.
        """
        if self.finding_id:
            return f"{self.breast}_{self.finding_id}"
        known = self.mammogram is None and self.side is not None
        return f"{self.breast}_{self.abnormality}" if known else None

    def shown_on(self, region: Region) -> str:
        """Id of the network's image that shows it: one for each lesion, or for each mammogram."""
        return self.image if region is Region.full else self.id

    @property
    def breast(self) -> str:
        """Patient and side: `P_00005_RIGHT`. Not a breast where the side is unknown (`_UNKNOWN`):
        sources refuse data.unit=breast there."""
        return f"{self.patient}_{self.side or 'UNKNOWN'}"


NEEDED_FILES = {Region.crop: ("crop",), Region.patch: ("full", "mask"), Region.full: ("full",)}
"""Fields of `Lesion` that a region is made of."""


def needed_files(lesion: Lesion, region: Region) -> dict[str, Path | None]:
    """The files that a region is made of, by the name of their field; None: not on disk."""
    return {name: getattr(lesion, name) for name in NEEDED_FILES[region]}


def has_needed_files(lesion: Lesion, region: Region) -> bool:
    """Whether every file that the region is made of is on disk."""
    return None not in needed_files(lesion, region).values()


class DefectKind(StrEnum):
    """What can be wrong with a data set, or must be known of it."""

    CROP_MISSING = "crop missing"
    CROP_UNREADABLE = "crop unreadable"
    MASK_MISSING = "mask missing"
    MASK_UNREADABLE = "mask unreadable"
    MASK_EMPTY = "mask empty"
    MASK_RESIZED = "mask resized"
    FULL_MISSING = "full image missing"
    FULL_UNREADABLE = "full image unreadable"
    BLANK = "image shows nothing"
    NEARLY_BLACK = "image nearly black"
    PATCH_CUT = "lesion larger than its window"
    SWAPPED = "crop and mask swapped"
    LATERALITY = "breast hangs on the other side than its record says"
    LABEL_CONFLICT = "lesions of one image differ in label"
    PATIENT_CROSSES = "patient in calcification and mass parts"
    PATIENT_UNKNOWN = "patient unknown"
    PATIENTS_ALIKE = "patients' ids differ only in how they are written"
    COPY_CONFLICT = "one file under several patients or labels"
    COPY = "one file under several lesions"
    NAME_DIFFERS = "file name written otherwise on disk"
    COUNT_DIFFERS = "count differs from the published one"
    DUPLICATE_ROW = "row stands twice"
    BAD_VALUE = "value not understood"
    UNSAFE_PATH = "path leaves the data root"
    EXCLUDED = "left out by a setting"


LOSING_DEFECTS = {
    "crop": (DefectKind.CROP_MISSING, DefectKind.CROP_UNREADABLE, DefectKind.BLANK),
    "full": (DefectKind.FULL_MISSING, DefectKind.FULL_UNREADABLE, DefectKind.BLANK),
    "mask": (DefectKind.MASK_MISSING, DefectKind.MASK_UNREADABLE, DefectKind.MASK_EMPTY),
}
"""By field of `Lesion`, the defects that take that file away: of one that is missing, of one that
cannot be read, of one that shows nothing."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One row of the ledger."""

    lesion: str
    """The lesion's id; a patient's, an image's or a CSV's row where that is what is meant, and `*`
    for the whole data set."""
    kind: DefectKind
    detail: str
    """What was found, with the file; no absolute path outside the data root, no header values."""
    action: str
    """What was done about it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each there are in one split, or in all."""

    rows: int
    images: int
    patients: int
    benign: int
    benign_without_callback: int
    malignant: int


def count(lesions: Sequence[Lesion]) -> Counts:
    """Lesions, distinct images and patients, and lesions of each pathology."""
    by_pathology = Counter(lesion.pathology for lesion in lesions)
    return Counts(
        rows=len(lesions),
        images=len({lesion.image for lesion in lesions}),
        patients=len({lesion.patient for lesion in lesions}),
        benign=by_pathology[Pathology.BENIGN],
        benign_without_callback=by_pathology[Pathology.BENIGN_WITHOUT_CALLBACK],
        malignant=by_pathology[Pathology.MALIGNANT],
    )


@dataclass(frozen=True, slots=True)
class Index:
    """What a data set holds, and the source's own words about it."""

    root: Path
    description: str
    """The data set in a few words, without its place: `CMMD calcifications (cmmd layout)`."""
    lesions: tuple[Lesion, ...]
    """In the order of the source's table. A lesion whose files are missing stays in, with None in
    their place."""
    ledger: tuple[Defect, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of any result on this data must know, in sentences without a full stop."""
    unchecked: tuple[str, ...] = ()
    """Checks that could not be made, and why; for someone who checks a download."""
    published: Mapping[Split, Counts] = field(default_factory=dict)
    """Counts that the data set's authors publish, by official split; empty where there are none."""
