"""Rows of somebody's split: which image, whose, in which part."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcalc.csv_table import Sheet, read_sheet
from mcalc.data.records import Side, View
from mcalc.data.splits.checking.columns import Found, Given, find_columns
from mcalc.data.splits.checking.names import ImageName, parse_image, parse_patient, without_copy
from mcalc.data.splits.checking.parts import part_of_file, parts_of_values
from mcalc.errors import UserError

_SIDES = {"left": Side.LEFT, "l": Side.LEFT, "right": Side.RIGHT, "r": Side.RIGHT}


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row. What it does not say is None."""

    where: str
    """`row 17`, or `train.csv row 17` where there are several files."""
    part: str | None
    """None where it belongs to no part."""
    id: str
    """As written; empty where no column names images."""
    label: str
    """In lower case; empty where there is none."""
    patient: str | None
    """None where it cannot be read."""
    side: Side | None = None
    view: View | None = None
    kind: str | None = None
    """`calc` or `mass`."""
    number: int | None = None
    """Of the abnormality; None for a whole mammogram."""
    contradiction: str = ""
    """Where its columns say different things, what."""

    @property
    def breast(self) -> Hashable | None:
        """Patient and side."""
        return None if self.patient is None or self.side is None else (self.patient, self.side)

    @property
    def finding(self) -> Hashable | None:
        """One abnormality of a breast, which two views may show."""
        if self.breast is None or self.number is None:
            return None
        return self.breast, self.kind, self.number

    @property
    def mammogram(self) -> Hashable | None:
        """One film."""
        return None if self.breast is None or self.view is None else (self.breast, self.view)

    @property
    def image(self) -> Hashable | None:
        """The image itself: a crop, a whole mammogram, or what the id names."""
        if self.mammogram is not None and self.finding is not None:
            return self.mammogram, self.finding
        if self.mammogram is not None:
            return self.mammogram
        return without_copy(self.id) or None

    @property
    def name(self) -> str:
        """For messages: `P_00005_RIGHT_CC_1`, or its id."""
        if self.patient is None or self.mammogram is None:
            return self.id or self.where
        parts = (self.kind, self.patient, self.side, self.view, self.number)
        return "_".join(str(part) for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Every row of a split."""

    rows: tuple[SplitRow, ...]
    says: Mapping[str, tuple[str, ...]]
    """By file, what its columns were taken for, in words."""


def read_rows(paths: Sequence[Path], given: Given, parts: str | None) -> SplitRows:
    """Read one file with a column of parts, or one file for each part.

    Raises UserError as `read_sheet`, `find_columns` and `parts_of_values` do, and for a file
    without rows.
    """
    rows: list[SplitRow] = []
    says: dict[str, tuple[str, ...]] = {}
    for path in paths:
        sheet = read_sheet(path)
        if not sheet.rows:
            raise UserError(f"{path} has a header but no rows: expected one an image")
        several = len(paths) > 1
        found = find_columns(path, sheet, given, needs_split=not several)
        if found.split is None and parts:
            raise UserError(
                f"parts={parts} is about values of a column: name it with split=COL, or omit parts="
            )
        part = part_of_file(path) if found.split is None else None
        part_of = _part_of(sheet, found, parts, path) if found.split is not None else {}
        for number, values in sheet.rows:
            where = f"{path.name} row {number}" if several else f"row {number}"
            of_row = part if found.split is None else part_of[values[found.split]]
            rows.append(_row(where, of_row, values, found))
        own = (f"parts: the file's name ({part})",) if part else ()
        says[str(path)] = (*found.says, *own)
    return SplitRows(tuple(_of_one_kind(rows)), says)


def _of_one_kind(rows: Sequence[SplitRow]) -> Sequence[SplitRow]:
    """The rows without their kinds where some abnormalities have none.

    `P_00005_RIGHT_CC_1` may be that of `Calc-Training_P_00005_RIGHT_CC_1` or of a mass. Taking it
    for either one finds too much where a breast has both; telling them apart would find too little.
    """
    if all(row.kind for row in rows if row.number is not None):
        return rows
    return [replace(row, kind=None) for row in rows]


def _part_of(sheet: Sheet, found: Found, parts: str | None, path: Path) -> dict[str, str | None]:
    assert found.split is not None
    place = found.split
    values = [values[place] for _, values in sheet.rows]
    return parts_of_values(values, sheet.columns[place], parts, str(path))


def _row(where: str, part: str | None, values: Sequence[str], found: Found) -> SplitRow:
    text = "" if found.id is None else values[found.id]
    name = parse_image(text)
    column = "" if found.patient is None else values[found.patient]
    patient = name.patient if name else parse_patient(text) or _patient(column)
    official = {part: values[place] for part, place in found.official.items()}
    own = _Official.of(official)
    return SplitRow(
        where=where,
        part=part,
        id=text,
        label="" if found.label is None else " ".join(values[found.label].casefold().split()),
        patient=patient,
        side=name.side if name else own.side,
        view=name.view if name else own.view,
        kind=(name.kind if name else None) or own.kind,
        number=name.number if name and name.number is not None else own.number,
        contradiction=_contradiction(name, column, own),
    )


@dataclass(frozen=True, slots=True)
class _Official:
    """What the official columns say beside a name."""

    side: Side | None = None
    view: View | None = None
    kind: str | None = None
    number: int | None = None

    @classmethod
    def of(cls, values: dict[str, str]) -> _Official:
        view = values.get("view", "").upper()
        kind = values.get("kind", "").casefold()
        number = values.get("number", "").removesuffix(".0")
        return cls(
            _SIDES.get(values.get("side", "").casefold()),
            View(view) if view in tuple(View) else None,
            kind[:4] if kind.startswith(("calc", "mass")) else None,
            int(number) if number.isdecimal() and len(number) < 4 else None,
        )


def _patient(text: str) -> str | None:
    """A patient as compared: CBIS-DDSM's in one form, any other as written but for its case."""
    return parse_patient(text) or " ".join(text.casefold().split()) or None


def _contradiction(name: ImageName | None, patient: str, own: _Official) -> str:
    """What a row's columns say against the name of its image."""
    if name is None:
        return ""
    other = parse_patient(patient)
    pairs = {
        "patient": (name.patient, other),
        "breast": (name.side, own.side),
        "view": (name.view, own.view),
        "abnormality": (name.number, own.number),
    }
    for what, (here, there) in pairs.items():
        if here is not None and there is not None and here != there:
            return f"its image names {what} {here}, a column {there}"
    return ""
