"""The accuracy and AUC of a row of the paper's tables, with their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean

from mcalc.evaluation import (
    Confusion,
    auc,
    auc_error,
    auc_interval,
    rate_bounds,
    shares_difference,
    wilson_interval,
)
from mcalc.report.case_mix import BENIGN_CLASSES, benign_class_aucs
from mcalc.report.formats import interval_cell, mean, sd
from mcalc.report.rows import Row


@dataclass(frozen=True)
class Accuracy:
    """A row's accuracy and AUC: of its trial with intervals, of several the mean and SD."""

    accuracy: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan
    difference: float = math.nan
    """To the paper's."""
    difference_low: float = math.nan
    difference_high: float = math.nan
    auc: float = math.nan
    auc_low: float = math.nan
    auc_high: float = math.nan
    auc_se: float = math.nan
    auc_sd: float = math.nan
    by_class: tuple[float, float] = (math.nan, math.nan)
    """AUC against each class of benign lesions."""

    @property
    def spread(self) -> str:
        """The cell of an interval, or of an SD where there are several trials."""
        if not math.isnan(self.sd):
            return f"SD {self.sd:.4f}"
        return interval_cell(self.low, self.high)

    @classmethod
    def of(cls, row: Row) -> Accuracy:
        """Of a row; nan throughout where it has not been run."""
        if not row.trials:
            return cls()
        said = [trial.predictions for trial in row.trials]
        rates = [Confusion.of(one).accuracy for one in said]
        areas = [auc(one.labels, one.probabilities) for one in said]
        classes = [benign_class_aucs(trial) for trial in row.trials]
        by_class = [mean(each.get(name, math.nan) for each in classes) for name in BENIGN_CLASSES]
        published = float(row.paper.accuracy) if row.paper else math.nan
        found = cls(
            accuracy=fmean(rates),
            difference=fmean(rates) - published,
            auc=mean(areas),
            by_class=(by_class[0], by_class[1]),
        )
        if len(said) > 1:
            return replace(found, sd=sd(rates), auc_sd=sd(areas))
        only = said[0]
        patients = only.patients or None
        low, high = rate_bounds("accuracy", only.labels, only.probabilities, patients)
        auc_low, auc_high = auc_interval(only.labels, only.probabilities, patients)
        ends = (math.nan, math.nan)
        if row.paper:
            counts = row.paper.confusion
            theirs = wilson_interval(counts.correct, counts.total)
            ends = shares_difference(rates[0], (low, high), counts.accuracy, theirs)
        return replace(
            found,
            low=low,
            high=high,
            difference_low=ends[0],
            difference_high=ends[1],
            auc_low=auc_low,
            auc_high=auc_high,
            auc_se=auc_error(only.labels, only.probabilities, patients),
        )
