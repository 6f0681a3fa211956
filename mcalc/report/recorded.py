"""What a trial's record says of the lesions that it reports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcalc.config import UnitScore
from mcalc.evaluation import auc, baselines_of
from mcalc.results import Evidence, RecordedTrial


def reported_auc(trial: RecordedTrial) -> float:
    """AUC on the lesions reported; nan where a class is absent."""
    return auc(trial.predictions.labels, trial.predictions.probabilities)


def reported_evidence(trial: RecordedTrial) -> list[Evidence]:
    """What is known of the lesions reported; empty for a record that is older than that."""
    return [each for each in trial.evidence if each.subset == "reported"]


def unit_score(trial: RecordedTrial) -> UnitScore:
    """How a scoring unit's probability comes from those of its lesions."""
    return UnitScore(trial.params.get("data.unit_score", UnitScore.mean.value))


def reported_baselines(trial: RecordedTrial) -> dict[str, npt.NDArray[np.float64]]:
    """Each baseline's probabilities of the units reported, (n,); none for an older record."""
    return baselines_of(trial.predictions, reported_evidence(trial), unit_score(trial))
