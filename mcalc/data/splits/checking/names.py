"""What the name of a CBIS-DDSM image says: whose it is, which breast, view and finding.

    Calc-Training_P_00005_RIGHT_CC_1/1.3.6.../1.3.6.../000001.dcm    a crop, or a mask
    C:\\crops\\Mass-Test_P_00016_LEFT_CC_1.png                         the same as a file
    P_00005_RIGHT_CC.png                                             a whole mammogram

A patient has one number in both parts of the data set: Calc-Training_P_00005 and
Mass-Training_P_00005 are one person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcalc.data.records import Side, View

_IMAGE = re.compile(
    r"(?:(?<![a-z])(calc|mass)[a-z]*[-_](?:training|train|test)[-_])?"
    r"(?<![a-z0-9])p[-_]?([0-9]{3,6})[-_](left|right)[-_](cc|mlo)"
    # not the number of a longer one, as of a file behind the name
    r"(?:[-_]([0-9]{1,2})(?![0-9]))?(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
_PATIENT = re.compile(
    # the name of a folder or file, or its beginning: P-1000-A is of another data set
    r"(?:^|(?<=[/\\])|(?<![a-z])(?:calc|mass)[a-z]*[-_](?:training|train|test)[-_])"
    r"p[-_]?([0-9]{3,6})(?=$|[/\\.]|[-_](?:left|right)(?![a-z]))",
    re.IGNORECASE | re.ASCII,
)
_COPY = re.compile(r"_copy[0-9]+$", re.IGNORECASE)
"""What mcalc adds to the id of a copy that was augmented before the split."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """What a name says; None where it does not."""

    patient: str
    """`P_00005`."""
    side: Side
    view: View
    kind: str | None = None
    """`calc` or `mass`."""
    number: int | None = None
    """Of the abnormality; None for a whole mammogram."""


def parse_image(text: str) -> ImageName | None:
    """Read the name of an image out of a path or id, whatever stands around it.

    None where there is none, or where the folders of a path name different images.
    """
    found = [_image(match) for match in _IMAGE.finditer(without_copy(text))]
    if len({(each.patient, each.side, each.view) for each in found}) != 1:
        return None
    kinds = {each.kind for each in found} - {None}
    numbers = {each.number for each in found} - {None}
    if len(kinds) > 1 or len(numbers) > 1:
        return None
    first = found[0]
    return ImageName(
        first.patient, first.side, first.view, next(iter(kinds), None), next(iter(numbers), None)
    )


def parse_patient(text: str) -> str | None:
    """The one patient of CBIS-DDSM that a text names, as `P_00005`; None where it names none."""
    found = {_patient(match.group(1)) for match in _PATIENT.finditer(text)}
    return found.pop() if len(found) == 1 else None


def without_copy(text: str) -> str:
    """An id without what makes it one of an augmented copy: a copy shows the same image."""
    return _COPY.sub("", text)


def _image(match: re.Match[str]) -> ImageName:
    kind, patient, side, view, number = match.groups()
    return ImageName(
        _patient(patient),
        Side(side.upper()),
        View(view.upper()),
        kind.lower() if kind else None,
        int(number) if number else None,
    )


def _patient(digits: str) -> str:
    return f"P_{int(digits):05d}"
