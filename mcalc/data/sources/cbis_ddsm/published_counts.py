"""How many lesions, images and patients TCIA publishes, and where a download differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from mcalc.config import CsvSplit
from mcalc.data.records import Counts, Defect, DefectKind, Lesion, Split, count

PUBLISHED = {
    Split.TRAIN: Counts(1546, 1227, 602, 528, 474, 544),
    Split.TEST: Counts(326, 284, 151, 130, 67, 129),
}
"""Calcifications of CBIS-DDSM by official split, counted in the case CSVs that TCIA publishes (doi
10.7937/k9/tcia.2016.7o02s9cy); Lee et al. 2017 give the same 753 patients in all."""

PUBLISHED_MASSES = {Split.TRAIN: 1318, Split.TEST: 378}
"""Rows of the mass CSVs by official split, counted in the same way."""


def published_differences(lesions: Sequence[Lesion], csv_split: CsvSplit) -> list[Defect]:
    """One COUNT_DIFFERS row for each official split, of those asked for, that is not as published.

    Its `lesion` is the split's name.
    """
    defects = []
    for split, published in PUBLISHED.items():
        if csv_split not in (CsvSplit.all, split.value):
            continue
        found = count([lesion for lesion in lesions if lesion.split is split])
        here, there = asdict(found), asdict(published)
        detail = ", ".join(
            f"{here[name]} {name.replace('_', ' ')} (published: {there[name]})"
            for name in here
            if here[name] != there[name]
        )
        if not found.rows:
            listed = f"none of the {published.rows} published lesions listed"
            detail = f"{listed}: its case CSV is not there"
        if detail:
            action = "used as listed"
            defects.append(Defect(split.value, DefectKind.COUNT_DIFFERS, detail, action))
    return defects
