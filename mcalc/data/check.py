"""What `python -m mcalc.data` says of a data set: its counts beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcalc.data.cbis_ddsm import completeness
from mcalc.data.ledger import count_by_kind
from mcalc.data.records import DefectKind, Index, Lesion, Pathology, Split


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each there are in one split, or in all."""

    rows: int
    images: int
    patients: int
    benign: int
    benign_without_callback: int
    malignant: int


PUBLISHED = {
    Split.TRAIN: Counts(1546, 1227, 602, 528, 474, 544),
    Split.TEST: Counts(326, 284, 151, 130, 67, 129),
}
"""Calcifications of CBIS-DDSM by official split, counted in the case CSVs that TCIA publishes (doi
10.7937/k9/tcia.2016.7o02s9cy); Lee et al. 2017 give the same 753 patients in all."""


def count(lesions: Sequence[Lesion]) -> Counts:
    """Lesions, distinct images and patients, and lesions of each pathology."""
    by_pathology = {
        pathology: sum(lesion.pathology is pathology for lesion in lesions)
        for pathology in Pathology
    }
    return Counts(
        rows=len(lesions),
        images=len({lesion.image for lesion in lesions}),
        patients=len({lesion.patient for lesion in lesions}),
        benign=by_pathology[Pathology.BENIGN],
        benign_without_callback=by_pathology[Pathology.BENIGN_WITHOUT_CALLBACK],
        malignant=by_pathology[Pathology.MALIGNANT],
    )


def print_check(index: Index, console: Console, ledger_path: Path, published: bool = True) -> None:
    """Print layout, counts, files on disk and the ledger's summary.

    `published` sets CBIS-DDSM's counts beside those found; a synthetic data set has none.
    """
    # soft wrap: a path broken over two lines cannot be copied
    console.print(f"{escape(str(index.root))}: {index.layout} layout", soft_wrap=True)
    console.print(_counts_table(index, published))
    _print_files(index, console)
    kinds = count_by_kind(index.ledger)
    if kinds:
        console.print(_ledger_table(index, kinds))
        console.print(f"Every defect: {escape(str(ledger_path))}", soft_wrap=True)
    else:
        console.print(
            f"No defects; an empty ledger is in {escape(str(ledger_path))}", soft_wrap=True
        )
    console.print(
        "Pixels were not checked: only headers were read, so a damaged image shows when it is "
        "first prepared for training."
    )


def _counts_table(index: Index, published: bool) -> Table:
    title = "Lesions listed (published count where it differs)" if published else "Lesions listed"
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for entry in fields(Counts):
        table.add_column(entry.name.replace("_", " "), justify="right")
    for split, expected in PUBLISHED.items():
        lesions = [lesion for lesion in index.lesions if lesion.split is split]
        if lesions:
            found = astuple(count(lesions))
            wanted = astuple(expected) if published else found
            cells = [
                str(here) if here == there else f"{here} ({there})"
                for here, there in zip(found, wanted, strict=True)
            ]
            table.add_row(split.value, *cells)
        else:
            table.add_row(split.value, "not read", *[""] * 5)
    return table


def _print_files(index: Index, console: Console) -> None:
    total = len(index.lesions)
    for name, attribute in (("crops", "crop"), ("masks", "mask"), ("full images", "full")):
        there = sum(getattr(lesion, attribute) is not None for lesion in index.lesions)
        console.print(f"{name} on disk: for {there} of {total} lesions")
    console.print(f"complete: {completeness(index):.1%} (data.min_completeness is about this)")


def _ledger_table(index: Index, kinds: dict[DefectKind, int]) -> Table:
    table = Table(title="Ledger", title_justify="left")
    table.add_column("defect")
    table.add_column("rows", justify="right")
    table.add_column("the first")
    for kind, number in kinds.items():
        first = next(defect for defect in index.ledger if defect.kind is kind)
        text = f"{first.lesion}: {first.detail} -> {first.action}"
        table.add_row(kind.value, str(number), escape(text))
    return table
