"""The files of each row of CBIS-DDSM's case CSVs, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from mcalc.data.images import ReadHeader, UnreadableImage, image_size
from mcalc.data.records import Defect, DefectKind, Lesion
from mcalc.data.sources.cbis_ddsm.case_csv import CaseRow
from mcalc.data.sources.cbis_ddsm.crop_or_mask import Roles, tell_apart
from mcalc.data.sources.cbis_ddsm.layouts import (
    CsvPath,
    Download,
    Found,
    Layout,
    parse_csv_path,
    read_descriptions,
    shows_series,
)
from mcalc.data.sources.file_names import shown
from mcalc.data.sources.paths import UnsafePath

_KEPT = "lesion kept without a crop"


class Finder:
    """Finds the files of one row after another, keeping the ledger."""

    def __init__(self, root: Path, csv_dir: Path | None, header_of: ReadHeader) -> None:
        self.download = Download(root)
        self.layouts: set[Layout] = set()
        self.ledger: list[Defect] = []
        self._root = root
        self._header_of = header_of
        self._descriptions = read_descriptions(root, csv_dir)
        self._full: dict[str, Path | None] = {}

    def lesion(self, row: CaseRow) -> Lesion:
        """The row's lesion with those of its files that are on disk."""
        crop_path = self._safe(row, "cropped image file path", row.crop_path)
        mask_path = self._safe(row, "ROI mask file path", row.mask_path)
        full = self._full_image(row, self._safe(row, "image file path", row.full_path))
        crop, mask = self._crop_and_mask(row, crop_path, mask_path, full)
        described = {each.name: getattr(row, each.name) for each in fields(Lesion)}
        return Lesion(**described | {"crop": crop, "mask": mask, "full": full})

    def respelled(self) -> list[Defect]:
        """A row for each case folder that was found although its name is written otherwise."""
        action = "taken: no other folder has that name"
        return [
            Defect(
                name, DefectKind.NAME_DIFFERS, f"the folder on disk is {shown(found, name)}", action
            )
            for name, found in self.download.respelled.items()
        ]

    def _note(self, lesion: str, kind: DefectKind, detail: str, action: str = _KEPT) -> None:
        # paths relative to the root
        self.ledger.append(Defect(lesion, kind, detail.replace(f"{self._root}/", ""), action))

    def _safe(self, row: CaseRow, column: str, text: str) -> CsvPath | None:
        """A path of the row; None where the CSV has none or an unsafe one."""
        try:
            return parse_csv_path(text) if text else None
        except UnsafePath:
            detail = f"{column} is absolute or climbs with '..'"
            action = _KEPT if column == "cropped image file path" else "path not followed"
            self._note(row.id, DefectKind.UNSAFE_PATH, detail, action)
            return None

    def _crop_and_mask(
        self, row: CaseRow, crop: CsvPath | None, mask: CsvPath | None, full: Path | None
    ) -> tuple[Path | None, Path | None]:
        if crop is None and not row.crop_path:
            self._note(row.id, DefectKind.CROP_MISSING, "the CSV names no crop")
        named = [path for path in (crop, mask) if path is not None]
        if not named:
            return None, None
        found = self.download.find(row.id, named)
        if found.layout is None:
            if crop is not None:
                where = f"no file in a case folder {row.id} nor in a folder {crop.series}"
                self._note(row.id, DefectKind.CROP_MISSING, where)
            return None, None
        self.layouts.add(found.layout)
        roles = tell_apart(found.files, self._descriptions, full, self._header_of)
        if roles.crop is None or roles.mask is None:
            roles = self._with_copies(row, roles, found, named, full)
        if roles.mask is None and roles.mask_problem is not None:
            action = "lesion kept without a mask"
            self._note(row.id, DefectKind.MASK_UNREADABLE, roles.mask_problem, action)
        if crop is None:
            # what is not named safely is not taken, be it found beside the mask
            return None, roles.mask
        if roles.crop is None:
            kind = DefectKind.CROP_UNREADABLE if roles.unreadable else DefectKind.CROP_MISSING
            self._note(row.id, kind, roles.problem or "no crop")
        elif roles.mistagged or (mask and _stands_as(roles.crop, crop, mask)):
            says = "its own description" if roles.mistagged else "the CSV"
            detail = f"{roles.crop.as_posix()} is the crop, where {says} calls it the mask"
            self._note(row.id, DefectKind.SWAPPED, detail, "corrected")
        return roles.crop, roles.mask

    def _with_copies(
        self, row: CaseRow, roles: Roles, found: Found, named: Sequence[CsvPath], full: Path | None
    ) -> Roles:
        """Roles with what `found` lacks taken from folders of series, then from Kaggle's JPEGs."""
        for copies in (self.download.find_series(named), self.download.find_jpegs(named)):
            known = copies.files == found.files or (roles.crop and roles.mask)
            if copies.layout is None or known:
                continue
            others = tell_apart(copies.files, self._descriptions, full, self._header_of)
            if roles.crop is None and others.crop is not None:
                if roles.unreadable:
                    kind = "JPEG copy" if copies.layout is Layout.KAGGLE else "copy"
                    detail, action = roles.problem or "", f"its {kind} taken"
                    self._note(row.id, DefectKind.CROP_UNREADABLE, detail, action)
                self.layouts.add(copies.layout)
                roles = replace(roles, crop=others.crop, mistagged=others.mistagged, problem=None)
            if roles.mask is None and others.mask is not None:
                self.layouts.add(copies.layout)
                roles = replace(roles, mask=others.mask)
        return roles

    def _full_image(self, row: CaseRow, path: CsvPath | None) -> Path | None:
        """The mammogram, once for all lesions on it: the largest file where there are several."""
        if path is None:
            return None
        if row.image not in self._full:
            self._full[row.image] = self._find_full(row.image, path)
        return self._full[row.image]

    def _find_full(self, image: str, path: CsvPath) -> Path | None:
        found = self.download.find(image, [path])
        if found.layout is None:
            return None
        self.layouts.add(found.layout)
        if len(found.files) == 1:
            return found.files[0]
        sizes: dict[Path, int] = {}
        damaged = []
        for file in found.files:
            try:
                sizes[file] = math.prod(image_size(file))
            except UnreadableImage as error:
                damaged.append(str(error))
        if not sizes:
            self._note(image, DefectKind.FULL_UNREADABLE, damaged[0], "lesions kept without it")
            return None
        return max(sizes, key=sizes.__getitem__)


def _stands_as(file: Path, crop: CsvPath, mask: CsvPath) -> bool:
    """Whether the file found to be the crop is where the CSV puts the mask."""
    if crop.series and mask.series and crop.series != mask.series:
        folder = file.parent
        return shows_series(folder, mask.series) and not shows_series(folder, crop.series)
    if crop.name is None or mask.name is None:
        return False
    stem = file.stem.casefold()
    return stem == Path(mask.name).stem.casefold() != Path(crop.name).stem.casefold()
