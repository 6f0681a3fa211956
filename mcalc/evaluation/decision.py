"""What is fixed on lesions that are not judged: where malignant begins, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from mcalc.evaluation.calibration import temperature
from mcalc.evaluation.operating_point import Choice, choose_threshold
from mcalc.results import Predictions

_FEWEST = 2
"""Units of each class that a threshold or a temperature needs."""


@dataclass(frozen=True)
class Decision:
    """An operating point and a temperature."""

    threshold: float
    """Log odds above which a lesion is called malignant."""
    temperature: float
    """What log odds are to be divided by; nan where none is the best."""

    def calibrated(self, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities of malignant, (n,), after temperature scaling; nan without one."""
        found: npt.NDArray[np.float64] = expit(odds / self.temperature)
        return found

    def calls(self, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Whether each of the lesions, (n,), is called malignant."""
        return odds > self.threshold


PUBLISHED = Decision(threshold=0.0, temperature=math.nan)
"""Malignant above a probability of 0.5, as in the paper; nothing is calibrated."""


def can_decide(validation: Predictions | None) -> bool:
    """Whether lesions that are not reported are known, and enough of both classes."""
    if validation is None:
        return False
    return bool(np.bincount(validation.labels, minlength=2).min() >= _FEWEST)


def decide(validation: Predictions | None, choice: Choice) -> Decision:
    """The decision that predictions of lesions which are not reported fix; else `PUBLISHED`."""
    if validation is None or not can_decide(validation):
        return PUBLISHED
    odds = odds_of(validation)
    return Decision(
        choose_threshold(validation.labels, odds, choice), temperature(validation.labels, odds)
    )


def odds_of(predictions: Predictions) -> npt.NDArray[np.float64]:
    """Log odds of malignant, (n,), of scoring units; from the probability in an older record."""
    if predictions.logits is not None:
        return predictions.logits[:, 0]
    edge = np.finfo(np.float64).eps
    found: npt.NDArray[np.float64] = logit(np.clip(predictions.probabilities, edge, 1 - edge))
    return found
