"""What inference needs beside a trial's scores: of each sample all that is known, and its logits.

Two tables of the run: samples.csv is the same for all trials on one split, logits.csv is the
network's. docs/inference.md explains their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mcalc.csv_cells import csv_text
from mcalc.data import Lesion, PreparedData
from mcalc.data.splits import Sample, split_rows
from mcalc.data.splits.samples import LABEL_NAMES
from mcalc.data.splits.split_file import COLUMNS as SPLIT_COLUMNS
from mcalc.results import Predictions, TrialResult

KNOWN = (
    "subset", "sample", "lesion", "unit", "patient", "finding", "label", "malignant", "pathology",
    "side", "view", "density", "calc_type", "calc_distribution", "subtlety", "assessment", "width",
    "height",
)  # fmt: skip
"""Columns of samples.csv, before those of the baselines' probabilities."""
LOGITS_FILE = "logits.csv"


@lru_cache(maxsize=1)
def samples_csv(prepared: PreparedData) -> str:
    """What is known, without a network, of each lesion that is reported or stops training.

    One row a lesion; the baselines' probabilities are of the lesion, at full precision.
    """
    # late: scikit-learn, which training does not need
    from mcalc.evaluation import lesion_probabilities

    rows = list(_rows(prepared))
    found = lesion_probabilities(
        prepared.prepared.lesions,
        prepared.prepared.native_sizes,
        [prepared.samples[i] for i in prepared.split.train],
        [position for _, _, position in rows],
    )
    table: list[list[str]] = [[*KNOWN, *(f"probability_{name}" for name in found)]]
    for row, (subset, sample, position) in enumerate(rows):
        lesion = prepared.prepared.lesions[position]
        size = prepared.prepared.native_sizes[position]
        known = known_columns(subset, sample, lesion, size.tolist())
        guesses = (repr(float(guess[row])) for guess in found.values())
        table.append([*known.values(), *guesses])
    return "".join(csv_text(table))


@lru_cache(maxsize=1)
def split_csv(prepared: PreparedData) -> str:
    """Which subset each sample belongs to, as `protocol.split_file` reads it."""
    return "".join(csv_text([SPLIT_COLUMNS, *split_rows(prepared.samples, prepared.split)]))


def logits_csv(result: TrialResult) -> str:
    """The network's logits of each sample that is reported or stops training, by class."""
    assert result.predictions.logits is not None  # every network that was trained gives them
    classes = result.predictions.logits.shape[1]
    table = [["subset", "sample", *(f"logit_{name}" for name in LABEL_NAMES[:classes])]]
    for subset, said in _subsets(result):
        assert said.logits is not None
        for name, values in zip(said.ids, said.logits.tolist(), strict=True):
            table.append([subset, name, *map(repr, values)])
    return "".join(csv_text(table))


def _subsets(result: TrialResult) -> Iterator[tuple[str, Predictions]]:
    yield "reported", result.predictions
    if result.validation is not None:
        yield "validation", result.validation


def _rows(prepared: PreparedData) -> Iterator[tuple[str, Sample, int]]:
    """Subset, sample, and position of each lesion that it shows."""
    split = prepared.split
    subsets = [("reported", split.reported)]
    if not split.stops_on_reported:
        subsets.append(("validation", split.validation))
    for subset, places in subsets:
        for place in places:
            for position in prepared.samples[place].lesions:
                yield subset, prepared.samples[place], position


def known_columns(
    subset: str, sample: Sample, lesion: Lesion, size: Sequence[int]
) -> dict[str, str]:
    """The cells of a lesion's row, by the columns of `KNOWN`; empty where a value is not known."""
    values: list[object] = [
        subset,
        sample.id,
        lesion.id,
        sample.unit,
        lesion.patient,
        lesion.finding,
        LABEL_NAMES[sample.label],
        lesion.label,
        lesion.pathology,
        lesion.side,
        lesion.view,
        lesion.density,
        ";".join(sorted(lesion.calc_types)),
        ";".join(sorted(lesion.calc_distributions)),
        lesion.subtlety,
        lesion.assessment,
        *(value if value > 0 else None for value in size),
    ]
    cells = ("" if value is None else str(value) for value in values)
    return dict(zip(KNOWN, cells, strict=True))
