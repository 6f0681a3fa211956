"""Everything that can be wrong with a download, planted in a phantom at fixed places.

Each plant damages one lesion, image or patient of a whole phantom, and says which ledger row a
reader owes for it. Some plants owe none: they are odd but legitimate, and a reader that loses the
lesion over them is wrong. The list of what is owed is written beside the data.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataset import Dataset

from mcalc.config.schema import DataConfig, PhantomConfig
from mcalc.data.phantom.case_csv import (
    CSV_NAMES,
    CsvRecord,
    crop_path,
    image_path,
    mask_path,
    write_csv,
)
from mcalc.data.phantom.cases import MIXED_PATIENTS, PhantomRow
from mcalc.data.phantom.dicom import case_uid
from mcalc.data.phantom.outline import MASK_ON
from mcalc.data.records import DefectKind, Pathology, Split
from mcalc.errors import UserError

EXPECTED_FILE = "expected_defects.csv"
"""Beside the data, not part of it: no reader looks at it."""

FEWEST_LESIONS = 40
"""Lesions that carry every defect, whatever the seed."""

MASS_CSV_NAMES = {
    Split.TRAIN: "mass_case_description_train_set.csv",
    Split.TEST: "mass_case_description_test_set.csv",
}
MASS_CSV_COLUMNS = (
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)
_ONLY_MASSES = "P_99999"
"""A patient of the mass part who has no calcifications."""

_HUGE_SIDE = 32_768
"""Rows and columns that a file claims: over a billion pixels."""
_MASK_LACKS = (3, 2)
"""Rows and columns by which a mask is smaller than its image."""
_STORED_BITS = 12
_WINDOWED = (1000, 9191)
"""Lowest and highest stored value of the image that wants its window applied."""
_PADDING = 65_535


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
class _Target:
    """The lesion that a plant damages."""

    root: Path
    row: PhantomRow
    record: CsvRecord
    """Its row of the CSV, which plants change in place."""
    settings: PhantomConfig

    @property
    def id(self) -> str:
        return self.row.lesion_case

    @property
    def crop(self) -> Path:
        return self.root / crop_path(self.row, self.settings)

    @property
    def mask(self) -> Path:
        return self.root / mask_path(self.row, self.settings)

    @property
    def full(self) -> Path:
        return self.root / image_path(self.row, self.settings)

    def owes(self, kind: DefectKind, found_by: FoundBy = FoundBy.INDEX) -> list[ExpectedDefect]:
        return [ExpectedDefect(self.id, kind, found_by)]


# --- crops --------------------------------------------------------------------------------------


def _crop_file_missing(target: _Target) -> list[ExpectedDefect]:
    target.crop.unlink()
    return target.owes(DefectKind.CROP_MISSING)


def _case_folder_missing(target: _Target) -> list[ExpectedDefect]:
    """The mask is gone with it, which is told where it is needed."""
    shutil.rmtree(target.root / target.id)
    return [
        *target.owes(DefectKind.CROP_MISSING),
        *target.owes(DefectKind.MASK_MISSING, FoundBy.PATCH),
    ]


def _crop_not_named(target: _Target) -> list[ExpectedDefect]:
    target.record["cropped image file path"] = ""
    return target.owes(DefectKind.CROP_MISSING)


def _crop_truncated(target: _Target) -> list[ExpectedDefect]:
    _truncate(target.crop)
    return target.owes(DefectKind.CROP_UNREADABLE, FoundBy.CROP)


def _crop_is_an_error_page(target: _Target) -> list[ExpectedDefect]:
    _overwrite(target.crop, b"<html><body>503 Service Unavailable</body></html>\n")
    return target.owes(DefectKind.CROP_UNREADABLE, FoundBy.CROP)


def _crop_claims_a_billion_pixels(target: _Target) -> list[ExpectedDefect]:
    _claim_a_billion_pixels(target.crop)
    return target.owes(DefectKind.CROP_UNREADABLE, FoundBy.CROP)


# --- masks --------------------------------------------------------------------------------------


def _mask_missing(target: _Target) -> list[ExpectedDefect]:
    target.mask.unlink()
    return target.owes(DefectKind.MASK_MISSING)


def _mask_truncated(target: _Target) -> list[ExpectedDefect]:
    _truncate(target.mask)
    return target.owes(DefectKind.MASK_UNREADABLE, FoundBy.PATCH)


def _mask_empty(target: _Target) -> list[ExpectedDefect]:
    with _editing(target.mask) as data:
        _set_pixels(data, np.zeros_like(data.pixel_array))
    return target.owes(DefectKind.MASK_EMPTY, FoundBy.PATCH)


def _mask_smaller(target: _Target) -> list[ExpectedDefect]:
    rows, columns = _MASK_LACKS
    with _editing(target.mask) as data:
        _set_pixels(data, data.pixel_array[:-rows, :-columns])
    return target.owes(DefectKind.MASK_RESIZED, FoundBy.PATCH)


def _mask_covers_the_image(target: _Target) -> list[ExpectedDefect]:
    """An outline that the default window does not hold with its margin, unless the film is tiny."""
    with _editing(target.mask) as data:
        pixels = np.full_like(data.pixel_array, MASK_ON)
        pixels[0] = pixels[-1] = 0
        _set_pixels(data, pixels)
        height = data.Rows - 2
    window = DataConfig()
    if height + 2 * window.patch_margin <= window.patch_size:
        return []
    return target.owes(DefectKind.PATCH_CUT, FoundBy.PATCH)


# --- full images --------------------------------------------------------------------------------


def _full_missing(target: _Target) -> list[ExpectedDefect]:
    shutil.rmtree(target.root / target.row.image_case)
    return target.owes(DefectKind.FULL_MISSING)


def _full_truncated(target: _Target) -> list[ExpectedDefect]:
    _truncate(target.full)
    return target.owes(DefectKind.FULL_UNREADABLE, FoundBy.FULL)


def _full_claims_a_billion_pixels(target: _Target) -> list[ExpectedDefect]:
    _claim_a_billion_pixels(target.full)
    return target.owes(DefectKind.FULL_UNREADABLE, FoundBy.FULL)


def _hangs_on_the_other_side(target: _Target) -> list[ExpectedDefect]:
    """All three images mirrored against the side that the record names."""
    for file in (target.full, target.crop, target.mask):
        with _editing(file) as data:
            _set_pixels(data, data.pixel_array[:, ::-1])
    return [ExpectedDefect(target.row.image_case, DefectKind.LATERALITY, FoundBy.FULL)]


def _full_monochrome1(target: _Target) -> list[ExpectedDefect]:
    with _editing(target.full) as data:
        _set_pixels(data, np.invert(data.pixel_array))
        data.PhotometricInterpretation = "MONOCHROME1"
    return []


def _full_12_bit(target: _Target) -> list[ExpectedDefect]:
    with _editing(target.full) as data:
        _set_pixels(data, np.right_shift(data.pixel_array, np.uint16(16 - _STORED_BITS)))
        data.BitsStored, data.HighBit = _STORED_BITS, _STORED_BITS - 1
    return []


def _full_windowed(target: _Target) -> list[ExpectedDefect]:
    """Values in a part of the range, and the window (DICOM PS3.3 C.11.2.1.2) that spreads them."""
    low, high = _WINDOWED
    with _editing(target.full) as data:
        values = data.pixel_array.astype(np.float64) / 65_535
        _set_pixels(data, np.round(low + values * (high - low)).astype(np.uint16))
        # LINEAR: black up to centre - 0.5 - (width - 1) / 2, white (width - 1) above that
        data.WindowWidth = high - low + 1
        data.WindowCenter = low + 0.5 + (high - low) / 2
    return []


def _full_padded(target: _Target) -> list[ExpectedDefect]:
    """A margin that is no part of the image, and stored as the brightest value."""
    with _editing(target.full) as data:
        pixels = data.pixel_array.copy()
        pixels[pixels == _PADDING] -= 1
        pixels[-max(pixels.shape[0] // 40, 1) :] = _PADDING
        _set_pixels(data, pixels)
        data.add_new("PixelPaddingValue", "US", _PADDING)
    return []


# --- which file is which ------------------------------------------------------------------------


def _descriptions_swapped(target: _Target) -> list[ExpectedDefect]:
    for file, description in ((target.crop, "ROI mask images"), (target.mask, "cropped images")):
        with _editing(file) as data:
            data.SeriesDescription = description
    return target.owes(DefectKind.SWAPPED)


def _crop_in_its_own_series(target: _Target) -> list[ExpectedDefect]:
    """As P_00474 LEFT MLO 1 of CBIS-DDSM."""
    series = case_uid(target.settings, target.id, "crop's own series")
    folder = target.crop.parent.parent / series
    folder.mkdir()
    with _editing(target.crop) as data:
        data.SeriesInstanceUID = series
    moved = target.crop.rename(folder / "000000.dcm")
    target.record["cropped image file path"] = f"{_below(target.root, moved)}\n"
    return []


def _jpeg_copies(target: _Target) -> list[ExpectedDefect]:
    """This lesion as in the Kaggle layout: `jpeg/<SeriesUID>/`, 8 bits, no description."""
    folder = target.root / "jpeg" / target.crop.parent.name
    folder.mkdir(parents=True)
    for file, name in ((target.crop, "1-001.jpg"), (target.mask, "2-002.jpg")):
        pixels = pydicom.dcmread(file).pixel_array
        if pixels.dtype == np.uint16:
            pixels = np.round(pixels / 257)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name, quality=95)
        _sync(folder / name)
    shutil.rmtree(target.root / target.id)
    return []


def _been_on_windows(target: _Target) -> list[ExpectedDefect]:
    """Extensions in capitals, and backslashes between the parts of paths."""
    for file in (target.crop, target.mask):
        file.rename(file.with_suffix(".DCM"))
    for column in ("image file path", "cropped image file path", "ROI mask file path"):
        target.record[column] = target.record[column].replace("/", "\\")
    return []


def _hidden_files(target: _Target) -> list[ExpectedDefect]:
    """What macOS leaves on foreign disks."""
    for file in (target.crop, target.mask, target.full):
        _overwrite(file.with_name(f"._{file.name}"), b"\x00\x05\x16\x07" + bytes(60))
    _overwrite(target.crop.with_name(".DS_Store"), bytes(32))
    return []


# --- values of the CSV --------------------------------------------------------------------------


def _density_is_a_word(target: _Target) -> list[ExpectedDefect]:
    target.record["breast density"] = "dense"
    return target.owes(DefectKind.BAD_VALUE)


def _blanks_and_line_feeds(target: _Target) -> list[ExpectedDefect]:
    """No descriptors, in two spellings; density 0; and a line feed at the end of every path."""
    target.record["calc type"] = "N/A"
    target.record["calc distribution"] = ""
    target.record["breast density"] = "0"
    for column in ("image file path", "ROI mask file path"):
        target.record[column] += "\n"
    return []


def _crop_path_climbs(target: _Target) -> list[ExpectedDefect]:
    target.record["cropped image file path"] = "../../" + target.record["cropped image file path"]
    return target.owes(DefectKind.UNSAFE_PATH)


def _crop_path_absolute(target: _Target) -> list[ExpectedDefect]:
    target.record["cropped image file path"] = "/" + target.record["cropped image file path"]
    return target.owes(DefectKind.UNSAFE_PATH)


def _mask_path_climbs(target: _Target) -> list[ExpectedDefect]:
    target.record["ROI mask file path"] = f"{target.id}/../../{target.mask.name}"
    return target.owes(DefectKind.UNSAFE_PATH)


def _full_path_names_a_drive(target: _Target) -> list[ExpectedDefect]:
    """The mammogram is then out of reach too."""
    path = target.record["image file path"].replace("/", "\\")
    target.record["image file path"] = f"C:\\{path}"
    return [*target.owes(DefectKind.UNSAFE_PATH), *target.owes(DefectKind.FULL_MISSING)]


_Plant = Callable[[_Target], list[ExpectedDefect]]

_PLANTS: tuple[_Plant, ...] = (
    _crop_file_missing,
    _case_folder_missing,
    _crop_not_named,
    _crop_truncated,
    _crop_is_an_error_page,
    _crop_claims_a_billion_pixels,
    _mask_missing,
    _mask_truncated,
    _mask_empty,
    _mask_smaller,
    _mask_covers_the_image,
    _full_missing,
    _full_truncated,
    _full_claims_a_billion_pixels,
    _hangs_on_the_other_side,
    _full_monochrome1,
    _full_12_bit,
    _full_windowed,
    _full_padded,
    _descriptions_swapped,
    _crop_in_its_own_series,
    _jpeg_copies,
    _been_on_windows,
    _hidden_files,
    _density_is_a_word,
    _blanks_and_line_feeds,
    _crop_path_climbs,
    _crop_path_absolute,
    _mask_path_climbs,
    _full_path_names_a_drive,
)
"""Each takes a lesion of its own, alone on its image, in this order."""


def plant_defects(
    root: Path,
    rows: Sequence[PhantomRow],
    records: Mapping[str, CsvRecord],
    tables: Mapping[Split, list[CsvRecord]],
    settings: PhantomConfig,
) -> list[ExpectedDefect]:
    """Damage the phantom whose images lie below `root`, and the records its CSVs will have.

    Args:
        root: the download, images written, CSVs not yet.
        rows: as `phantom_rows` gives them for `settings`.
        records: by lesion; changed in place.
        tables: the records in the order of each CSV; rows are added and changed.
        settings: the phantom's.

    Returns:
        What a reader owes, what the phantom has by nature (crops and masks that stand in each
        other's place, lesions of one image with different labels) included.
    """
    expected: list[ExpectedDefect] = []
    for plant, row in zip(_PLANTS, islice(_free_rows(rows), len(_PLANTS)), strict=True):
        expected += plant(_Target(root, row, records[row.lesion_case], settings))
    _plant_label_conflicts(rows, records)
    expected += _plant_rows(rows, records, tables)
    expected += _plant_mass_part(root, rows, records)
    expected += [
        ExpectedDefect(row.lesion_case, DefectKind.SWAPPED, FoundBy.INDEX)
        for row in rows
        if row.swapped
    ]
    expected += _label_conflicts(rows, records)
    return sorted(expected, key=lambda each: (each.lesion, each.kind))


def check_room_for_defects(settings: PhantomConfig) -> None:
    """Raise UserError where there are too few lesions to carry every defect."""
    if settings.lesions < FEWEST_LESIONS:
        raise UserError(
            f"data.phantom.lesions={settings.lesions} is too few to carry every defect: with "
            f"data.phantom.defects=true take data.phantom.lesions={FEWEST_LESIONS} or more"
        )


def write_expected(root: Path, expected: Sequence[ExpectedDefect]) -> None:
    """Write `EXPECTED_FILE` below `root`: lesion, kind and what finds it."""
    rows = [(each.lesion, each.kind.value, each.found_by.value) for each in expected]
    write_csv(root / EXPECTED_FILE, ("lesion", "kind", "found_by"), rows)


def _free_rows(rows: Sequence[PhantomRow]) -> Iterator[PhantomRow]:
    """Rows that a plant may have: one lesion on the image, and nothing else wrong with it."""
    shared = {row.image_case for row in rows if row.abnormality > 1}
    return (row for row in rows if not row.swapped and row.image_case not in shared)


# --- rows of the CSVs ---------------------------------------------------------------------------


def _unknown_pathology(record: CsvRecord) -> None:
    record["pathology"] = "SUSPICIOUS"


def _subtlety_is_no_number(record: CsvRecord) -> None:
    record["subtlety"] = "high"


def _row_cut_short(record: CsvRecord) -> None:
    del record["ROI mask file path"]


_UNREADABLE_ROWS = (_unknown_pathology, _subtlety_is_no_number, _row_cut_short)


def _plant_rows(
    rows: Sequence[PhantomRow],
    records: Mapping[str, CsvRecord],
    tables: Mapping[Split, list[CsvRecord]],
) -> list[ExpectedDefect]:
    """Rows that cannot be understood, and rows that stand twice."""
    same, differing, *free = list(_free_rows(rows))[len(_PLANTS) :]
    expected = []
    for row, changes in ((same, {}), (differing, {"assessment": "1"})):
        table, record = tables[row.split], records[row.lesion_case]
        table.insert(_position(table, record) + 1, {**record, **changes})
        expected.append(ExpectedDefect(row.lesion_case, DefectKind.DUPLICATE_ROW, FoundBy.INDEX))
    for spoil, row in zip(_UNREADABLE_ROWS, free[: len(_UNREADABLE_ROWS)], strict=True):
        table, record = tables[row.split], records[row.lesion_case]
        spoil(record)
        # the row names no lesion that could be trusted, so the ledger names its place
        place = f"{CSV_NAMES[row.split]} row {_position(table, record) + 1}"
        expected.append(ExpectedDefect(place, DefectKind.BAD_VALUE, FoundBy.INDEX))
    return expected


def _position(table: Sequence[CsvRecord], record: CsvRecord) -> int:
    return next(place for place, each in enumerate(table) if each is record)


def _plant_label_conflicts(rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]) -> None:
    """One image with benign and malignant lesions, one with the two kinds of benign ones."""
    second = {
        MIXED_PATIENTS[0]: (Pathology.BENIGN, Pathology.MALIGNANT),
        MIXED_PATIENTS[1]: (Pathology.BENIGN, Pathology.BENIGN_WITHOUT_CALLBACK),
    }
    for row in rows:
        if row.patient in second:
            label = second[row.patient][row.abnormality - 1]
            records[row.lesion_case]["pathology"] = label.value


def _label_conflicts(
    rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]
) -> list[ExpectedDefect]:
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.image_case, set()).add(records[row.lesion_case]["pathology"])
    return [
        ExpectedDefect(image, DefectKind.LABEL_CONFLICT, FoundBy.INDEX)
        for image, found in labels.items()
        if len(found) > 1
    ]


# --- the mass part ------------------------------------------------------------------------------


def _plant_mass_part(
    root: Path, rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]
) -> list[ExpectedDefect]:
    """Mass CSVs in which a patient of the calcifications' training split is in the test split."""
    crossing = next(row for row in rows if row.split is Split.TRAIN)
    tables: dict[Split, list[str]] = {Split.TRAIN: [_ONLY_MASSES], Split.TEST: []}
    tables[Split.TEST].append(crossing.patient_id)
    pattern = records[crossing.lesion_case]
    for split, patients in tables.items():
        write_csv(
            root / MASS_CSV_NAMES[split],
            MASS_CSV_COLUMNS,
            [_mass_values(patient, split, pattern) for patient in patients],
        )
    return [ExpectedDefect(crossing.patient_id, DefectKind.PATIENT_CROSSES, FoundBy.INDEX)]


def _mass_values(patient: str, split: Split, pattern: CsvRecord) -> tuple[str, ...]:
    part = "Mass-Test" if split is Split.TEST else "Mass-Training"
    side, view = pattern["left or right breast"], pattern["image view"]
    image = f"{part}_{patient}_{side}_{view}"
    uids = "/".join(pattern["image file path"].replace("\\", "/").split("/")[1:3])
    return (
        patient,
        pattern["breast density"],
        side,
        view,
        "1",
        "mass",
        "OVAL",
        "CIRCUMSCRIBED",
        "4",
        "BENIGN",
        "4",
        f"{image}/{uids}/000000.dcm",
        f"{image}_1/{uids}/000000.dcm",
        f"{image}_1/{uids}/000001.dcm\n",
    )


# --- files --------------------------------------------------------------------------------------


class _editing:  # noqa: N801 - read as a statement: `with _editing(file) as data`
    """A DICOM file's data set, written back at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._data = pydicom.dcmread(file)

    def __enter__(self) -> Dataset:
        return self._data

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._data.save_as(self._file, enforce_file_format=True)
            _sync(self._file)


def _set_pixels(data: Dataset, pixels: npt.NDArray[np.unsignedinteger]) -> None:
    """Pixels (rows, columns) of the depth that the data set has already."""
    data.Rows, data.Columns = pixels.shape
    data.SmallestImagePixelValue = int(pixels.min())
    data.LargestImagePixelValue = int(pixels.max())
    raw = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OW"


def _claim_a_billion_pixels(file: Path) -> None:
    with _editing(file) as data:
        data.Rows = data.Columns = _HUGE_SIDE


def _truncate(file: Path) -> None:
    """Keep three fifths: the header is whole, the pixels are not."""
    _overwrite(file, file.read_bytes()[: file.stat().st_size * 3 // 5])


def _overwrite(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _sync(file)


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _below(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
