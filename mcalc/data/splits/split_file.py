"""A split as a CSV file, so that others can use the same one.

Columns `sample,patient,label,side`, one row a sample. `sample` is a lesion's id, or an image's with
data.region=full. `label` is `benign`, `malignant` or `benign_without_callback`. `side` is the
subset that the sample belongs to: `train`, `validation` or `reported`. A file without validation
rows holds a split whose reported subset also stops training. An id that begins as a formula does
has an apostrophe before it (`mcalc.csv_cells`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcalc.config import ProtocolName
from mcalc.csv_table import CsvRow, read_table, write_table
from mcalc.data.splits.protocols import Split, make_split
from mcalc.data.splits.samples import LABEL_NAMES, Sample
from mcalc.errors import UserError

COLUMNS = ("sample", "patient", "label", "side")
"""The CSV's header."""

SUBSETS = ("train", "validation", "reported")
"""Values of the column `side`: the subset of the split that a sample belongs to."""


def write_split(path: Path, samples: Sequence[Sample], parts: Split) -> None:
    """Write a split as CSV (UTF-8), sorted by sample, whole or not at all.

    Folders are made as needed. Raises UserError when it cannot be written.
    """
    rows = split_rows(samples, parts)
    write_table(path, COLUMNS, rows, "the split", "name a file in a writable folder")


def split_rows(samples: Sequence[Sample], parts: Split) -> list[tuple[str, str, str, str]]:
    """The rows of `COLUMNS`, sorted by sample. What is reported and stops training is reported."""
    subset_of = dict.fromkeys(parts.train, "train")
    subset_of |= dict.fromkeys(parts.validation, "validation")
    subset_of |= dict.fromkeys(parts.reported, "reported")
    return sorted(
        (samples[i].id, samples[i].patient, LABEL_NAMES[samples[i].label], subset)
        for i, subset in subset_of.items()
    )


def read_split(
    path: Path,
    samples: Sequence[Sample],
    protocol: ProtocolName,
    seed: int,
    min_completeness: float = 1.0,
) -> tuple[Split, int]:
    """The split of a CSV file, taken as it is, and how many of its rows have no sample here.

    A patient who is both trained on and reported is counted as in any split (`Split.leak`), not
    refused. `protocol` and `seed` are for the record, and the seed draws offline copies.

    Raises UserError for a file that cannot be read or does not fit these samples: a sample of the
    data without a row, one with another patient or label, a second row of one, a column or a value
    of `side` that is not known, or less than `min_completeness` (0..1) of its rows in the data.
    """
    rows = _read_rows(path)
    place = {sample.id: i for i, sample in enumerate(samples)}
    without = sorted(set(place) - set(rows))
    if without:
        raise UserError(
            f"the split {path} has no row for {len(without)} of {len(samples)} samples of this "
            f"data (the first: {without[0]}): it is of other data, or of other settings of "
            "data.region, benign_without_callback, mixed_labels, protocol.copies or seed"
        )
    missing = sorted(set(rows) - set(place))
    if len(rows) - len(missing) < min_completeness * len(rows):
        raise UserError(
            f"the split {path} names {len(missing)} samples of {len(rows)} that are not in this "
            f"data (the first: {missing[0]}): complete the download, or allow it with a lower "
            "data.min_completeness"
        )
    members: dict[str, list[int]] = {subset: [] for subset in SUBSETS}
    for name, i in place.items():
        row, sample = rows[name], samples[i]
        for column, here in (("patient", sample.patient), ("label", LABEL_NAMES[sample.label])):
            if row.values[column] != here:
                raise UserError(
                    f"the split {path}, row {row.number}: {column} of {name} is "
                    f"{row.values[column]!r}, but {here!r} in this data: it is of other data or "
                    "other settings of labels"
                )
        members[row.values["side"]].append(i)
    validation = members["validation"] or members["reported"]
    parts = make_split(samples, protocol, seed, members["train"], validation, members["reported"])
    return parts, len(missing)


def _read_rows(path: Path) -> Mapping[str, CsvRow]:
    """The rows by sample id."""
    command = "python -m mcalc.data ... split_to=PATH"
    remedy = f"protocol.split_file needs a CSV that `{command}` has written"
    rows: dict[str, CsvRow] = {}
    for row in read_table(path, COLUMNS, ours=True, remedy=remedy):
        subset, sample = row.values["side"], row.values["sample"]
        if subset not in SUBSETS:
            raise UserError(
                f"the split {path}, row {row.number}: side is {subset!r}: expected one of "
                f"{', '.join(SUBSETS)}"
            )
        if not sample:
            raise UserError(f"the split {path}, row {row.number}: no sample: expected its id")
        first = rows.setdefault(sample, row)
        if first is not row:
            raise UserError(
                f"the split {path}, row {row.number} ({subset}): {sample} is in row "
                f"{first.number} already ({first.values['side']}): each sample has one row"
            )
    if not rows:
        raise UserError(f"the split {path} has no rows: expected one a sample")
    return rows
