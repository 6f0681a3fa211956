"""Objects that several test modules build (found by pytest's `pythonpath`)."""

from __future__ import annotations

from pathlib import Path

from mcalc.data.records import Lesion, Pathology, Side, Split, View


def make_lesion(
    patient: int, *, number: int = 1, malignant: bool = False, crop: Path | None = None
) -> Lesion:
    """A lesion of which only patient, number, label and crop matter."""
    return Lesion(
        id=f"Calc-Training_P_{patient:05d}_LEFT_CC_{number}",
        patient=f"P_{patient:05d}",
        side=Side.LEFT,
        view=View.CC,
        abnormality=number,
        density=2,
        calc_types=frozenset(),
        calc_distributions=frozenset(),
        assessment=4,
        pathology=Pathology.MALIGNANT if malignant else Pathology.BENIGN,
        subtlety=3,
        split=Split.TRAIN,
        crop=crop,
    )
