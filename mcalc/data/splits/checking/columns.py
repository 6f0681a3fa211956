"""Which columns of somebody's CSV say what, found only where there is no doubt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcalc.csv_table import Sheet, column_key
from mcalc.data.splits.checking.names import ImageName, parse_image, parse_patient
from mcalc.data.splits.checking.parts import FOLD_COLUMNS, holds_parts, part_of_word
from mcalc.errors import UserError, nearest, shown

_IDS = (
    "sample", "id", "image", "image id", "image path", "image file", "path", "file", "filename",
    "file name", "file path", "filepath", "img", "img path", "name", "lesion", "lesion id",
)  # fmt: skip
_PATIENTS = ("patient", "patient id", "patientid", "subject", "subject id", "pid")
_LABELS = (
    "label", "labels", "pathology", "class", "target", "diagnosis", "malignant", "malignancy",
    "cancer", "y",
)  # fmt: skip
_SPLITS = ("split", "set", "subset", "part", "partition", "phase", "usage", *FOLD_COLUMNS)
OFFICIAL = {
    "side": "left or right breast",
    "view": "image view",
    "number": "abnormality id",
    "kind": "abnormality type",
}
"""Columns of the official case CSVs that complete what an image's name says."""

_MOST_SHOWN = 40

_Value = ImageName | str
_Key = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Given:
    """Columns that the user named; None where nothing was said."""

    id: str | None = None
    label: str | None = None
    split: str | None = None
    patient: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Places of columns in one file; None for what it does not have."""

    id: int | None
    patient: int | None
    label: int | None
    split: int | None
    official: Mapping[str, int]
    """Of those of `OFFICIAL` that are there."""
    says: tuple[str, ...]
    """What was taken for what, in words."""


def find_columns(path: Path, sheet: Sheet, given: Given, needs_split: bool) -> Found:
    """The columns of a file.

    `needs_split`: whether the part of a row has to be in a column. Raises UserError where a column
    is named that is not there, or twice, and where what is needed is not there or may be several.
    """
    finder = _Finder(path, sheet)
    patient = finder.named("patient", given.patient)
    image = finder.named("id", given.id)
    if image is None:
        image = finder.images()
        if image is None:
            image = finder.only("id", _IDS)
    ids = [] if image is None else finder.values(image)
    names_patients = any(parse_image(text) or parse_patient(text) for text in ids)
    if patient is None:
        patient = finder.only("patient", _PATIENTS, needed=not names_patients)
    if patient is None and not names_patients:
        raise finder.error(
            "no column names patients, and none has names of CBIS-DDSM images: name the column "
            "that does with patient=COL, or with id=COL"
        )
    label = finder.named("label", given.label)
    if label is None:
        label = finder.only("label", _LABELS)
    split = finder.named("split", given.split)
    if split is None and needs_split:
        split = finder.split()
    return Found(image, patient, label, split, finder.official(), tuple(finder.says(
        image, patient, label, split, names_patients
    )))  # fmt: skip


class _Finder:
    """Looks for the columns of one file."""

    def __init__(self, path: Path, sheet: Sheet) -> None:
        self.path = path
        self.sheet = sheet
        self.keys = [column_key(name) for name in sheet.columns]
        self._doubts: dict[str, str] = {}

    def values(self, place: int) -> list[str]:
        """The values of a column, row by row."""
        return [values[place] for _, values in self.sheet.rows]

    def error(self, said: str) -> UserError:
        """What is wrong with the file, with its columns."""
        columns = [shown(name, _MOST_SHOWN) for name in self.sheet.columns[:_MOST_SHOWN]]
        return UserError(f"{self.path}: {said} (its columns: {', '.join(columns)})")

    def named(self, word: str, name: str | None) -> int | None:
        """The place of the column that the user named with `word=`."""
        if name is None:
            return None
        places = self._places((column_key(name),))
        if not places:
            hint = nearest(name, filter(None, self.sheet.columns))
            raise self.error(f"{word}={name} is not a column of it{hint}")
        if len(places) > 1:
            raise self.error(f"{word}={name} is the name of {len(places)} columns: rename others")
        return places[0]

    def only(self, word: str, known: Collection[str], needed: bool = False) -> int | None:
        """The only column with one of the known names; None where there is none.

        Of several none is taken, which is an error where one is needed.
        """
        places = self._places(known)
        if len(places) == 1:
            return places[0]
        if places:
            said = f"{word} may be {' or '.join(self._quoted(places))}"
            if needed:
                raise self.error(f"{said}: name the column with {word}=COL")
            self._doubts[word] = said
        return None

    def images(self) -> int | None:
        """The column of names of CBIS-DDSM images, if all that have such names agree.

        Of several the one that names most findings, the first of equals.
        """
        names: dict[int, list[ImageName | None]] = {}
        for place in range(len(self.keys)):
            parsed = [parse_image(value) for value in self.values(place)]
            if sum(map(bool, parsed)) * 2 > len(parsed):
                names[place] = parsed
        self._require_agreement("id", names, lambda name: (name.patient, name.side, name.view))
        # a mammogram's name beside a crop's: the crop says more
        return max(
            names,
            key=lambda place: sum(each is not None and bool(each.number) for each in names[place]),
            default=None,
        )

    def split(self) -> int:
        """The column of parts: by its values, else by its name."""
        by_values: dict[int, list[str | None]] = {}
        for place in range(len(self.keys)):
            values = self.values(place)
            if holds_parts(values):
                by_values[place] = [part_of_word(value) for value in values]
        self._require_agreement("split", by_values, lambda part: part)
        if by_values:
            return next(iter(by_values))
        named = self.only("split", _SPLITS, needed=True)
        if named is None:
            raise self.error(
                "no column says which part of a split a row belongs to: name it with split=COL, or "
                "give a file for each part, as check_split=train.csv,test.csv"
            )
        return named

    def official(self) -> dict[str, int]:
        """Places of the official columns that are there once."""
        found = {part: self._places((name,)) for part, name in OFFICIAL.items()}
        return {part: places[0] for part, places in found.items() if len(places) == 1}

    def says(
        self,
        image: int | None,
        patient: int | None,
        label: int | None,
        split: int | None,
        names_patients: bool,
    ) -> list[str]:
        """What each column was taken for."""
        from_name = " (names of CBIS-DDSM images)" if names_patients else ""
        column = [
            "images: " + ("not known" if image is None else f"{self._quote(image)}{from_name}"),
            "patients: "
            + ("in those names" if names_patients else "")
            + (", else " if names_patients and patient is not None else "")
            + ("" if patient is None else self._quote(patient)),
            "labels: " + ("not known" if label is None else self._quote(label)),
        ]
        if split is not None:
            column.append(f"parts: {self._quote(split)}")
        return [*column, *self._doubts.values()]

    def _places(self, known: Collection[str]) -> list[int]:
        return [place for place, key in enumerate(self.keys) if key and key in known]

    def _quote(self, place: int) -> str:
        return f"column {shown(self.sheet.columns[place], _MOST_SHOWN)}"

    def _quoted(self, places: Collection[int]) -> list[str]:
        return [shown(self.sheet.columns[place], _MOST_SHOWN) for place in places]

    def _require_agreement(
        self, word: str, columns: Mapping[int, Sequence[_Value | None]], key: _Key
    ) -> None:
        """Refuse columns of which two say different things of one row."""
        for place, (number, _) in enumerate(self.sheet.rows):
            said = {key(values[place]) for values in columns.values() if values[place] is not None}
            if len(said) > 1:
                raise self.error(
                    f"{word} may be {' or '.join(self._quoted(columns))}, which differ in row "
                    f"{number}: name the column with {word}=COL"
                )
