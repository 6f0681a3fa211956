"""What is fixed on the units that stopped training: ranks, operating points, temperatures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from scipy.special import expit

from .check import Check
from .formulas import calibration, read, scores_of, sensitivity_at, temperature, threshold
from .record import Trial, ranks


def check_choices(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """The rank and the operating point of each trial."""
    by_rank = ranks(list(trials.values()))
    for row in read(place / "choosing.csv"):
        trial = trials[row["run_id"]]
        half = scores_of(trial.said)
        computed = {
            "auc": half["auc"],
            "sensitivity_half": half["recall"],
            "specificity_half": half["specificity"],
            "sensitivity_at_80": sensitivity_at(trial.said, 0.80),
            "sensitivity_at_90": sensitivity_at(trial.said, 0.90),
            "rank": by_rank.get(trial.run, math.nan),
        }
        at, found = 0.0, half
        computed["validation_auc"] = math.nan
        if trial.validation is not None and trial.can_choose:
            at = threshold(trial.validation, trial.row["operating_point"])
            found = scores_of(trial.said, trial.said.odds > at)
            computed["validation_auc"] = trial.validation_auc
        computed |= {
            "threshold": float(expit(at)),
            "threshold_log_odds": at,
            "sensitivity": found["recall"],
            "specificity": found["specificity"],
        }
        check.cells("choosing", row["name"], row, computed)
        for column, key in (("sensitivity", "recall"), ("specificity", "specificity")):
            ends = found[f"{key}_low"], found[f"{key}_high"]
            cell = row[f"{column}_interval"]
            check.interval("choosing", row["name"], f"{column}_interval", cell, *ends)


def check_calibration(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Calibration before and after the temperature that validation gives."""
    names = ("brier", "slope", "intercept")
    for row in read(place / "calibration.csv"):
        trial = trials[row["run_id"]]
        if trial.validation is None:
            check.skip("calibration", row["name"])
            continue
        said, by = trial.said, temperature(trial.validation)
        before = calibration(said.labels, said.odds)
        after = (math.nan,) * 3 if math.isnan(by) else calibration(said.labels, said.odds / by)
        computed = dict(zip(names, before, strict=True)) | {"temperature": by}
        computed |= {f"{name}_after": value for name, value in zip(names, after, strict=True)}
        check.cells("calibration", row["name"], row, computed)
