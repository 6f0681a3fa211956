"""How long a run is."""

from __future__ import annotations

from mcalc.config import TrainerConfig
from mcalc.data.loading import run_length


def test_a_run_ends_with_the_epochs_or_the_iterations_whichever_come_first() -> None:
    for most, iterations in ((None, 14), (50, 14), (9, 9)):
        settings = TrainerConfig(batch_size=4, max_epochs=2, max_iterations=most, val_every=3)
        # 30 images in batches of 4 are 7 iterations an epoch
        assert run_length(30, settings).iterations == iterations
