"""What a network sees: one entry an image, with its label and the unit that it is scored in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcalc.data.records import Lesion

MALIGNANT = 1
"""The positive class, whatever other classes there are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, or an offline copy of one, and what it is trained on."""

    id: str
    """The lesion's or the image's id; unique, copies included."""
    image: int
    """Position in `Prepared.images`."""
    label: int
    """Class to learn: 0 benign, 1 malignant, 2 benign without callback where that is a class."""
    patient: str
    unit: str
    """Id of what it is scored as: itself, its image, breast or patient."""
    copy: int = 0
    """0: the image itself; n: its n-th offline copy, augmented once and then always the same."""


def lesion_samples(lesions: Sequence[Lesion]) -> list[Sample]:
    """One sample a lesion, scored as itself."""
    return [
        Sample(lesion.id, position, lesion.label, lesion.patient, lesion.id)
        for position, lesion in enumerate(lesions)
    ]
