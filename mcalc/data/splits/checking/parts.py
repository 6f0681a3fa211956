"""Parts of a split in the words that people use: train, val, holdout, fold 3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcalc.csv_table import column_key
from mcalc.errors import UserError, nearest, shown

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NAMED = (TRAIN, VALIDATION, TEST)
"""Parts that are not folds, in the order in which a model sees them."""
NONE = "none"
"""As a part in `parts=`: rows that belong to none."""
FOLDS = "folds"
"""As the value of `parts=`: every value of the column is a fold."""

_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), VALIDATION),
    # reported: mcalc's own
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout", "reported"), TEST),
}
_FOLD = re.compile(r"(?:k?fold|cv)([0-9]+)")
_NUMBER = re.compile(r"([0-9]+)(?:\.0*)?")
FOLD_COLUMNS = ("fold", "folds", "kfold", "k fold", "cv fold", "fold id")
"""Columns whose whole numbers are folds, as `column_key` gives them."""

_SHOWN = 8


def part_of_word(text: str) -> str | None:
    """The part that a value names by itself: `Test`, `val`, `hold-out`, `fold_3`; else None."""
    word = re.sub(r"[\s_\-]+", "", text.casefold())
    word = re.sub(r"(?<=.)(set|split)$", "", word)
    if fold := _FOLD.fullmatch(word):
        return _fold(fold.group(1))
    return _WORDS.get(word)


def is_fold(part: str) -> bool:
    """Whether a part is one of several folds."""
    return part not in NAMED


def part_of_file(path: Path) -> str:
    """The part that a file's name says. Raises UserError where it says none, or several."""
    words = re.findall(r"[a-z]+(?:\W*[0-9]+)?", path.stem.casefold().replace("_", " "))
    found = {
        part
        for word in words
        for part in (part_of_word(word), part_of_word(re.sub("[^a-z]", "", word)))
        if part
    }
    if len(found) != 1:
        raise UserError(
            f"the name of {path} says {'several parts' if found else 'no part'} of a split: with "
            "several files each is one part, as train.csv, val.csv and test.csv, or name the "
            "column that says it with split=COL"
        )
    return found.pop()


def parts_of_values(
    values: Iterable[str], column: str, meant: str | None, where: str
) -> dict[str, str | None]:
    """The part of each value of the split column; None for rows of no part.

    Args:
        values: of the column, as they stand there.
        column: its name, for what it says and for messages.
        meant: as of `parts=`: `folds`, or `0:train,1:test`; None where nothing was said.
        where: the file, for messages.

    Raises:
        UserError: a value says no part by itself and `meant` does not either, or `meant` is wrong.
    """
    distinct = sorted({value for value in values if value})
    if meant and meant.casefold() == FOLDS:
        return {"": None, **{value: _fold(_plain(value)) for value in distinct}}
    told = _told(meant) if meant else {}
    known = {_plain(value) for value in distinct}
    if strange := [value for value in told if value not in known]:
        raise UserError(
            f"parts= names {shown(strange[0])}, which column {shown(column)} of {where} does not "
            f"hold (it has {_listed(distinct)})"
        )
    folds = column_key(column) in FOLD_COLUMNS
    parts: dict[str, str | None] = {"": None}
    for value in distinct:
        number = _NUMBER.fullmatch(value)
        if _plain(value) in told:
            part = told[_plain(value)]
            parts[value] = None if part == NONE else part
        elif part_name := part_of_word(value):
            parts[value] = part_name
        elif folds and number:
            parts[value] = _fold(number.group(1))
        else:
            raise UserError(
                f"column {shown(column)} of {where} has {_listed(distinct)}, of which "
                f"{shown(value)} may be any part: say it, as in parts={value}:train (parts: "
                f"{', '.join((*NAMED, NONE))}; commas between), or parts={FOLDS} where each value "
                "is a fold"
            )
    return parts


def holds_parts(values: Sequence[str]) -> bool:
    """Whether every value that there is names a part by itself, and some row has one."""
    distinct = {value for value in values if value}
    return bool(distinct) and all(part_of_word(value) for value in distinct)


def ordered(parts: Iterable[str]) -> list[str]:
    """Parts in the order of use: train, folds by number, validation, test."""
    place = {TRAIN: 0, VALIDATION: 2, TEST: 3}

    def key(part: str) -> tuple[int, int, str]:
        number = re.search(r"[0-9]+$", part)
        return place.get(part, 1), int(number.group()) if number else 0, part

    return sorted(set(parts), key=key)


def _fold(number: str) -> str:
    return f"fold {int(number)}" if number.isdecimal() else f"fold {number}"


def _plain(value: str) -> str:
    number = _NUMBER.fullmatch(value)
    return number.group(1) if number else value.casefold().strip()


def _told(meant: str) -> Mapping[str, str]:
    """`0:train,1:test` as a mapping."""
    told = {}
    for pair in meant.split(","):
        value, colon, name = pair.rpartition(":")
        part = NONE if name.strip().casefold() == NONE else part_of_word(name)
        if not colon or not value.strip() or part is None:
            raise UserError(
                f"parts={meant} is not understood at {shown(pair)}"
                f"{nearest(name, (*NAMED, NONE))}: expected VALUE:PART with commas between, as in "
                f"parts=0:train,1:test (parts: {', '.join((*NAMED, NONE))}), or parts={FOLDS}"
            )
        told[_plain(value.strip())] = part
    return told


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f"{', '.join(shown(value, 40) for value in values[:_SHOWN])}{more}"
