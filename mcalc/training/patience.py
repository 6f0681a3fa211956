"""Validation patience, as MATLAB's trainingOptions defines it."""

from __future__ import annotations

import math


class ValidationPatience:
    """Says when training stops for want of progress in validation loss.

    MATLAB (trainingOptions, ValidationPatience): "number of times that the loss on the validation
    set can be larger than or equal to the previously smallest loss before network training stops".
    It is counted in validation EVALUATIONS; a tie counts; a new smallest loss starts the count
    again. The evaluation that brings the count to the patience is the one that stops.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best = math.inf
        self.count = 0

    def update(self, loss: float) -> bool:
        """Take in one evaluation's loss; True when training stops here.

        A loss that is not a number does not count as progress.
        """
        if loss < self.best:
            self.best = loss
            self.count = 0
        else:
            self.count += 1
        return self.patience is not None and self.count >= self.patience
