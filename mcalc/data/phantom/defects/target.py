"""The lesion that a planted defect damages, and the ledger row that a reader owes for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_csv import CsvRecord, crop_path, image_path, mask_path
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.records import DefectKind


class FoundBy(StrEnum):
    """What finds a defect: indexing, or preparing a region's pixels."""

    INDEX = "index"
    CROP = "crop"
    PATCH = "patch"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ExpectedDefect:
    """A ledger row that a reader owes."""

    lesion: str
    """As in the ledger: a lesion's, image's or patient's id, or a CSV's row."""
    kind: DefectKind
    found_by: FoundBy
    """A defect of pixels is found where `data.region` needs them: `patch` needs the full image and
    the mask, `full` the full image."""


@dataclass(frozen=True, slots=True)
class Target:
    """The lesion that a plant damages."""

    root: Path
    row: PhantomRow
    record: CsvRecord
    """Its row of the CSV, which plants change in place."""
    settings: PhantomConfig

    @property
    def id(self) -> str:
        """The lesion's."""
        return self.row.lesion_case

    @property
    def crop(self) -> Path:
        """Its file."""
        return self.root / crop_path(self.row, self.settings)

    @property
    def mask(self) -> Path:
        """Its file."""
        return self.root / mask_path(self.row, self.settings)

    @property
    def full(self) -> Path:
        """The mammogram's file."""
        return self.root / image_path(self.row, self.settings)

    def owes(self, kind: DefectKind, found_by: FoundBy = FoundBy.INDEX) -> list[ExpectedDefect]:
        """The ledger row of this kind about this lesion."""
        return [ExpectedDefect(self.id, kind, found_by)]


Plant = Callable[[Target], list[ExpectedDefect]]
"""Damages its lesion; returns the ledger rows that a reader owes."""
