"""Patients whose ids are equal but for the way they are written: `P_00001`, `p-1`, `P 1.0`.

They may be one patient, whom a split by patient would put on both sides. Who is right cannot be
told from here, so nothing is merged.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mcalc.data.records import Defect, DefectKind, Index
from mcalc.iteration import grouped

EXAMPLES = 8
"""Spellings of one group that its ledger row shows."""

_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[\s_.\-]+(?=[0-9])")
_SEPARATORS = re.compile(r"[\s_.\-]+")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_FRACTION = re.compile(r"\.0+$")
_GAP = "|"
"""Where a separator stood between two digits: 1-11 is not 11-1."""


def with_alike_patients(index: Index) -> Index:
    """The index with a ledger row for each group of patients' ids that are nearly equal, and a
    note that names the first."""
    # a lesion whose patient is unknown is named as its own patient
    named = Counter(each.patient for each in index.lesions if each.patient != each.id)
    rows = [_row(group, named) for group in alike(named)]
    if not rows:
        return index
    number = "1 group" if len(rows) == 1 else f"{len(rows)} groups"
    note = (
        f"PATIENTS' IDS NEARLY EQUAL: {number} (the first: {rows[0].detail}); each "
        "spelling counts as a separate patient, so images of one patient may be both trained on "
        "and reported; write each patient in one way, unless they are different persons"
    )
    return replace(index, ledger=(*index.ledger, *rows), notes=(*index.notes, note))


def alike(ids: Iterable[str]) -> list[list[str]]:
    """Groups of two or more ids, in order of appearance, that differ in one of these alone.

    Case, Unicode form, separators (blank, `_`, `-`, `.`), leading zeros of numbers, and `.0` at the
    end. A separator between two digits may be there or not, but not elsewhere: `2020-01` and
    `202001` are alike, and `1-11` and `11-1` are not.
    """
    names = [name for name in dict.fromkeys(ids) if _in_parts(name)]
    same = list(grouped(names, _in_parts).values())
    # one without a separator between its digits may be any of the others
    same += [group for group in grouped(names, _joined).values() if any(map(_is_whole, group))]
    group_of: dict[str, list[str]] = {}
    for group in same:
        merged = list(dict.fromkeys(each for name in group for each in group_of.get(name, [name])))
        group_of |= dict.fromkeys(merged, merged)
    place = {name: i for i, name in enumerate(names)}
    groups = {id(group): group for group in group_of.values()}.values()
    return [sorted(group, key=place.__getitem__) for group in groups if len(group) > 1]


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    # marks that are not seen: a byte order mark, zero-width blanks
    text = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return _FRACTION.sub("", unicodedata.normalize("NFKC", text))


def _in_parts(name: str) -> str:
    text = _SEPARATORS.sub("", _BETWEEN_DIGITS.sub(_GAP, _plain(name)))
    return _ZEROS.sub("", text)


def _is_whole(name: str) -> bool:
    return _BETWEEN_DIGITS.search(_plain(name)) is None


def _joined(name: str) -> str:
    return _ZEROS.sub("", _SEPARATORS.sub("", _plain(name)))


def _row(group: Sequence[str], lesions: Counter[str]) -> Defect:
    more = f" and {len(group) - EXAMPLES} more" if len(group) > EXAMPLES else ""
    detail = f"{' and '.join(_shown(group, lesions))}{more} differ only in how they are written"
    action = "not merged: each counts as a separate patient"
    return Defect(group[0], DefectKind.PATIENTS_ALIKE, detail, action)


def _shown(group: Sequence[str], lesions: Counter[str]) -> Iterator[str]:
    for name in group[:EXAMPLES]:
        # of two Unicode forms that look the same the characters' numbers are shown
        twins = [each for each in group if _composed(each) == _composed(name)]
        text = ascii(name) if len(twins) > 1 else repr(name)
        yield f"{text} ({lesions[name]} lesion{'s' * (lesions[name] != 1)})"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
