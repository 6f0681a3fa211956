"""How much of a map's heat lies inside a lesion's outline, beside the outline's share of the image.

The share alone says little: heat spread evenly has as much inside as the outline has of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcalc.evaluation.clustered import UNDEFINED, Patients, mean_interval


@dataclass(frozen=True)
class Inside:
    """A mean over lesions."""

    lesions: int
    """That have a value: a mask, and any heat at all."""
    mean: float
    """nan of no lesion."""
    low: float
    """95 % interval, clustered by patient; nan with fewer than two patients."""
    high: float


def share_of_heat(
    maps: npt.NDArray[np.float32], masks: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Of each map the share of its heat that lies inside the mask, (n,); nan of a map of zeros.

    Args:
        maps: 0 or more; shape (n, H, W).
        masks: True on the lesion; the same shape.
    """
    heat = maps.astype(np.float64)
    whole = heat.sum(axis=(1, 2))
    within = np.where(masks, heat, 0).sum(axis=(1, 2))
    shares = np.full(len(heat), math.nan)
    np.divide(within, whole, out=shares, where=whole > 0)
    return shares


def mean_of_lesions(values: Sequence[float], patients: Patients = None) -> Inside:
    """The mean over the lesions that have a value (not nan), its interval clustered by patient.

    Args:
        values: shares, or differences of shares.
        patients: of each lesion.
    """
    every = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(every)
    if not known.any():
        return Inside(0, math.nan, *UNDEFINED)
    whose = None if patients is None else np.asarray(patients)[known]
    low, high = mean_interval(every[known], whose)
    return Inside(int(known.sum()), float(every[known].mean()), low, high)
