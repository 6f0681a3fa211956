"""The networks of one training run in the record: each once, whichever trials report it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mcalc.config import KeepModels, PlannedTrial
from mcalc.results import VALIDATION_AUC
from mcalc.tracking import NETWORK_FILE, BestNetwork, RunWriter
from mcalc.training import Weights

BEATEN = (
    "tracking.keep_models=best: a trial that ended before has at least the same AUC on validation\n"
)
"""Why a network was not kept."""
UNRANKED = (
    "tracking.keep_models=best: the split has no lesions for validation that are not reported, so "
    "that nothing ranks its trials; every network is kept"
)


def is_kept(
    trial: PlannedTrial, best: BestNetwork | None, split: str, metrics: Mapping[str, float]
) -> bool:
    """Whether the network of a trial that ended stays (`tracking.keep_models`).

    `best`: of its sweep, where only the best stays; the metrics then have its AUC on validation.
    `split`: fingerprint of the trial's split.
    """
    if trial.config.tracking.keep_models is KeepModels.none:
        return False
    return best is None or not best.is_beaten(split, trial.key, metrics[VALIDATION_AUC])


class Networks:
    """Trials that end at one iteration of a training run report one network.

    `kept` is for the thread that trains, `write` for the one that records.
    """

    def __init__(self) -> None:
        self._copied: tuple[int, Weights] | None = None
        self._written: dict[int, RunWriter] = {}

    def kept(self, iteration: int, weights: Weights, *, changes: bool) -> Weights:
        """Weights that stay as they are: a copy of those that training `changes`."""
        if not changes:
            return weights
        if self._copied is None or self._copied[0] != iteration:
            copies = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()
            }
            self._copied = iteration, copies
        return self._copied[1]

    def write(self, iteration: int, weights: Weights, writer: RunWriter) -> None:
        """The network as a file of the run: the same file as another run has, where it can be."""
        earlier = self._written.get(iteration)
        if earlier is not None and writer.link(earlier, NETWORK_FILE):
            return
        with writer.new_file(NETWORK_FILE) as path:
            torch.save({name: tensor.cpu() for name, tensor in weights.items()}, path)
        self._written[iteration] = writer
