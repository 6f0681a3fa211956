"""One row of the phantom's case CSVs: a lesion in one view, and what is written of it."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.data.records import Pathology, Side, Split, View

# Quirks are at fixed places of the list, so that even the smallest phantom has each of them.
_SWAPPED_EVERY, _SWAPPED_AT = 40, 5
_NO_DENSITY_EVERY, _NO_DENSITY_AT = 120, 3
_NO_TYPE_EVERY, _NO_TYPE_AT = 50, 2
_NO_DISTRIBUTION_EVERY, _NO_DISTRIBUTION_AT = 8, 4
_TEST_EVERY, _TEST_AT = 6, 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One lesion of a breast; every view shows the same one."""

    pathology: Pathology
    types: tuple[str, ...]
    distribution: str
    subtlety: int
    assessment: int
    size: float
    """Geometric mean of a crop's height and width, in crop pixels, before views vary it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a film, in the film's pixels."""

    top: int
    left: int
    height: int
    width: int

    def overlaps(self, other: Box) -> bool:
        """Whether the two share a pixel."""
        return (
            self.top < other.top + other.height
            and other.top < self.top + self.height
            and self.left < other.left + other.width
            and other.left < self.left + self.width
        )


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
    area: Box
    """Where the lesion lies on the film. Areas of one film do not overlap."""
    magnification: int
    """Crop pixels along one pixel of the film."""

    @property
    def height(self) -> int:
        """Rows of the crop, crop pixels."""
        return self.area.height * self.magnification

    @property
    def width(self) -> int:
        """Columns of the crop, crop pixels."""
        return self.area.width * self.magnification

    @property
    def box(self) -> tuple[slice, slice]:
        """The lesion's rows and columns on the film, chest wall at column 0."""
        top, left = self.area.top, self.area.left
        return slice(top, top + self.area.height), slice(left, left + self.area.width)

    @property
    def place(self) -> tuple[int, int, int]:
        """The film, as numbers that seed what is drawn on it."""
        return self.patient, list(Side).index(self.side), list(View).index(self.view)

    @property
    def split(self) -> Split:
        """About one patient in six is in the test split, with all lesions."""
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
        """As in the CSV, which has 0 for unknown now and then."""
        return 0 if self.number % _NO_DENSITY_EVERY == _NO_DENSITY_AT else self.density

    @property
    def types_written(self) -> str:
        """As in the CSV, which has `NA` now and then."""
        unknown = self.number % _NO_TYPE_EVERY == _NO_TYPE_AT
        return "NA" if unknown else "-".join(self.finding.types)

    @property
    def distribution_written(self) -> str:
        """As in the CSV, which has `NA` now and then."""
        unknown = self.number % _NO_DISTRIBUTION_EVERY == _NO_DISTRIBUTION_AT
        return "NA" if unknown else self.finding.distribution
