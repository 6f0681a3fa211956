"""Ways to count CBIS-DDSM: rows, mammograms, breasts and patients, with or without masses."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from mcalc.data.sources.cbis_ddsm import Case, Kind
from mcalc.paper.reported_set import Selection, any_malignant, joint_labels, one_label

CALCIFICATIONS = "calc"
BOTH = "both"
"""What is counted: calcifications alone, or masses with them."""

_Key = Callable[[Case], Hashable]

_NAMES = "film names"
_MAMMOGRAMS = "mammograms"
_UNITS: dict[str, _Key] = {
    _NAMES: lambda case: case.image,
    _MAMMOGRAMS: lambda case: (case.patient, case.side, case.view),
    "breasts": lambda case: (case.patient, case.side),
    "patients": lambda case: case.patient,
}
"""What may have several rows, and what tells one from another."""
_ONE_LABEL = "one label"
_RULES = {"any malignant": any_malignant, _ONE_LABEL: one_label}
"""What the label of several rows is: malignant where any is, or theirs where they agree."""


def calcification_rows(cases: Sequence[Case]) -> Selection:
    """Rows of the calcification CSVs: the patterns, if the paper counted as CBIS-DDSM does."""
    return _rows(CALCIFICATIONS, _calcifications(cases))


def whole_mammograms(cases: Sequence[Case]) -> Selection:
    """Mammograms of calcifications and masses whose rows all have one label: hypothesis (b)."""
    return _joint(BOTH, _MAMMOGRAMS, _ONE_LABEL, cases)


def selections(cases: Sequence[Case]) -> tuple[Selection, ...]:
    """Every way to count: calcifications, then calcifications and masses."""
    return (*_each(CALCIFICATIONS, _calcifications(cases)), *_each(BOTH, cases))


def _each(data: str, cases: Sequence[Case]) -> Iterator[Selection]:
    yield _rows(data, cases)
    for unit in _UNITS:
        # a film has several names only between the two kinds
        if unit != _NAMES or data == BOTH:
            for rule in _RULES:
                yield _joint(data, unit, rule, cases)


def _rows(data: str, cases: Sequence[Case]) -> Selection:
    malignant = sum(case.malignant for case in cases)
    return Selection(data, "rows", "", len(cases) - malignant, malignant)


def _joint(data: str, unit: str, rule: str, cases: Sequence[Case]) -> Selection:
    key = _UNITS[unit]
    labelled = [(key(case), case.malignant) for case in cases]
    return Selection(data, unit, rule, *joint_labels(labelled, _RULES[rule]))


def _calcifications(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.kind is Kind.CALCIFICATION]
