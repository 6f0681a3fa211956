"""Images whose lesions differ in pathology."""

from __future__ import annotations

from collections.abc import Sequence

from mcalc.data.records import Defect, DefectKind, Lesion
from mcalc.iteration import grouped

BENIGN_ONLY = "all count as benign, unless benign without callback is a class of its own"
"""Action of a conflict between BENIGN and BENIGN_WITHOUT_CALLBACK."""


def label_conflicts(lesions: Sequence[Lesion]) -> list[Defect]:
    """One row for each image whose lesions differ in pathology; its `lesion` is the image.

    The action is `BENIGN_ONLY` where none of the lesions is malignant.
    """
    defects = []
    for image, group in grouped(lesions, lambda lesion: lesion.image).items():
        if len({lesion.pathology for lesion in group}) > 1:
            labels = ", ".join(f"{lesion.abnormality} {lesion.pathology}" for lesion in group)
            both = len({lesion.label for lesion in group}) > 1
            action = "each lesion keeps its own label" if both else BENIGN_ONLY
            defects.append(Defect(image, DefectKind.LABEL_CONFLICT, labels, action))
    return defects
