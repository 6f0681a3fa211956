"""How long a training run is, if nothing ends it early."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config import TrainerConfig


@dataclass(frozen=True)
class RunLength:
    """Length of a whole training run."""

    per_epoch: int
    """Iterations of an epoch: its whole mini-batches, as a last partial one is dropped."""
    iterations: int
    """Of the run, by `trainer.max_epochs` and `trainer.max_iterations`."""
    evaluations: int
    """Validation evaluations: after the first iteration, every `trainer.val_every`-th, the last."""


def run_length(training_images: int, settings: TrainerConfig) -> RunLength:
    """The length of a run on so many training images, offline copies included."""
    per_epoch = training_images // settings.batch_size
    iterations = per_epoch * settings.max_epochs
    iterations = min(iterations, settings.max_iterations or iterations)
    evaluated = {1, *range(settings.val_every, iterations + 1, settings.val_every), iterations}
    return RunLength(per_epoch, iterations, len(evaluated))
