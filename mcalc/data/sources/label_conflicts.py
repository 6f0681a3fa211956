"""Images whose lesions differ in pathology."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mcalc.data.records import Defect, DefectKind, Lesion

BENIGN_ONLY = "all count as benign, unless benign without callback is a class of its own"
"""Action of a conflict between BENIGN and BENIGN_WITHOUT_CALLBACK."""


def label_conflicts(lesions: Sequence[Lesion]) -> list[Defect]:
    """One row for each image whose lesions differ in pathology; its `lesion` is the image.

    The action is `BENIGN_ONLY` where none of the lesions is malignant.
    """
    by_image: dict[str, list[Lesion]] = defaultdict(list)
    for lesion in lesions:
        by_image[lesion.image].append(lesion)
    defects = []
    for image, group in by_image.items():
        if len({lesion.pathology for lesion in group}) > 1:
            labels = ", ".join(f"{lesion.abnormality} {lesion.pathology}" for lesion in group)
            both = len({lesion.label for lesion in group}) > 1
            action = "each lesion keeps its own label" if both else BENIGN_ONLY
            defects.append(Defect(image, DefectKind.LABEL_CONFLICT, labels, action))
    return defects
