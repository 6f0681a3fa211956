"""bf16 beside fp32: `python -m benchmarks.precision NAME [RECORD]`, paired by seed.

NAME is a recorded sweep over `seed` and `trainer.precision=fp32,bf16` in the folder RECORD, by
default `mlruns` (docs/speed.md). The interval is Student's of the paired differences.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from mcalc.config import TrackingConfig
from mcalc.results import RecordedTrial
from mcalc.tracking import read_trials

MARGIN = 0.02
"""Either way; fixed before anything was measured."""
PRECISIONS = ("fp32", "bf16")


def pairs(trials: Sequence[RecordedTrial]) -> dict[int, tuple[RecordedTrial, RecordedTrial]]:
    """Seed -> the trials in fp32 and in bf16. Raises ValueError for a seed that lacks one."""
    by_seed: dict[int, dict[str, RecordedTrial]] = {}
    for trial in trials:
        precision = trial.params["trainer.precision"]
        by_seed.setdefault(int(trial.params["seed"]), {})[precision] = trial
    if alone := [seed for seed, found in by_seed.items() if set(found) != set(PRECISIONS)]:
        raise ValueError(f"seeds {alone} were not run in both precisions")
    return {seed: (found["fp32"], found["bf16"]) for seed, found in sorted(by_seed.items())}


def scores(trial: RecordedTrial) -> tuple[float, float]:
    """AUC and log loss of the recorded predictions."""
    predictions = trial.predictions
    assert predictions is not None
    labels, probabilities = predictions.labels, predictions.probabilities
    return (
        float(roc_auc_score(labels, probabilities)),
        float(log_loss(labels, probabilities)),
    )


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and 95 % interval."""
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return float(differences.mean()), float(low), float(high)


def main(name: str, record: str = "mlruns") -> None:
    """Print each seed's scores, and the intervals of the differences."""
    console = Console()
    found = pairs(read_trials(TrackingConfig(dir=record), name))
    rows = {seed: (scores(one), scores(other)) for seed, (one, other) in found.items()}
    table = Table("seed", "AUC fp32", "AUC bf16", "log loss fp32", "log loss bf16")
    for seed, (one, other) in rows.items():
        cells = (one[0], other[0], one[1], other[1])
        table.add_row(str(seed), *(f"{each:.4f}" for each in cells))
    console.print(table)
    values = np.array(list(rows.values()))
    for index, measure in enumerate(("AUC", "log loss")):
        mean, low, high = interval(values[:, 1, index] - values[:, 0, index])
        within = low > -MARGIN and high < MARGIN
        console.print(
            f"{measure}, bf16 less fp32: {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f} "
            f"({len(rows)} seeds): {'within' if within else 'NOT within'} {MARGIN} either way"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
