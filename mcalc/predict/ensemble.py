"""Several networks as one: the mean of their log odds, with weights that validation may choose."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit

from mcalc.errors import UserError
from mcalc.evaluation import can_decide, odds_of
from mcalc.results import Predictions

ROUNDS = 50
"""Most networks that the greedy choice takes, repetitions counted."""


class Joining(StrEnum):
    """How networks are joined."""

    mean = "mean"
    """All count alike."""
    greedy = "greedy"
    """One after another is added, each time the one that lowers the validation log loss most, and
    any as often as it helps (R. Caruana et al., ICML 2004)."""


def joint_validation(members: Sequence[Predictions | None]) -> list[Predictions] | None:
    """What the networks said of the lesions that stopped them, where those are the same for all.

    None where one has none, or where they were others: what stopped one network has then trained
    another, and nothing may be chosen on it.
    """
    known = [each for each in members if each is not None]
    if len(known) < len(members) or not all(can_decide(each) for each in known):
        return None
    return known if len({each.ids for each in known}) == 1 else None


def weights_of(how: Joining, validation: Sequence[Predictions] | None, count: int) -> list[float]:
    """Share of each network in the joint log odds; they sum to 1.

    Args:
        how: the choice.
        validation: as `joint_validation`, one for each network.
        count: networks.

    Raises UserError for the greedy choice without validation.
    """
    if how is Joining.mean or count == 1:
        return [1 / count] * count
    if validation is None:
        raise UserError(
            "ensemble=greedy chooses on the lesions that stopped training, which have to be the "
            "same for all networks and reported by none: train them with protocol.seed=0 "
            "protocol.validation=0.15, or take ensemble=mean"
        )
    labels = validation[0].labels
    return greedy_weights(labels, np.array([odds_of(each) for each in validation]))


def greedy_weights(
    labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64], rounds: int = ROUNDS
) -> list[float]:
    """Shares by forward selection with replacement; it ends where no network lowers the loss.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        odds: log odds of malignant by network; shape (k, n).
        rounds: most selections.
    """
    chosen: list[int] = []
    total = np.zeros(labels.size)
    least = np.inf
    for _ in range(rounds):
        candidates = (total + odds) / (len(chosen) + 1)
        losses = log_loss(labels, candidates)
        best = int(np.argmin(losses))
        if not losses[best] < least - 1e-12:
            break
        chosen.append(best)
        total += odds[best]
        least = float(losses[best])
    return [chosen.count(place) / len(chosen) for place in range(len(odds))]


def log_loss(
    labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Mean cross-entropy, (k,), of log odds (k, n)."""
    signs = np.where(labels == 1, 1.0, -1.0)
    found: npt.NDArray[np.float64] = -log_expit(signs * odds).mean(axis=1)
    return found


def joined(odds: npt.NDArray[np.float64], weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """Joint log odds (n,) of log odds by network (k, n)."""
    found: npt.NDArray[np.float64] = np.asarray(weights) @ odds
    return found


def joined_predictions(members: Sequence[Predictions], weights: Sequence[float]) -> Predictions:
    """What the networks say together of the same units."""
    odds = joined(np.array([odds_of(each) for each in members]), weights)
    first = members[0]
    probabilities = np.exp(log_expit(odds))
    return Predictions(first.ids, first.labels, probabilities, first.patients, odds[:, None])
