"""mcalc's training run with its defaults, as `python -m mcalc.train` does it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload
from mcalc.config import (
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    Config,
    PlannedTrial,
    ProtocolName,
    StoppingConfig,
    TrainerConfig,
    plan_trial,
)
from mcalc.data.loading import CropData
from mcalc.data.splits import Sample, Split
from mcalc.models import Classifier, build_classifier
from mcalc.results import CurvePoint
from mcalc.training import Listener, resolved, run_trajectory


class _Times(Listener):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def iterated(self, iteration: int) -> None:
        """A step has ended."""
        self.watch.step()

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """An evaluation has ended; it began with the end of the step."""
        self.watch.validations.append(time.perf_counter() - self.watch.marks[-1])


def run(work: Workload, watch: Stopwatch) -> None:
    """Train."""
    pixels, labels = work.images()
    trainer = TrainerConfig(
        batch_size=work.batch,
        max_epochs=1_000,
        max_iterations=work.iterations,
        val_every=work.val_every or 1_000_000,
    )
    backbone = BackboneConfig(name=work.backbone, weights="none")
    augment = AugmentConfig(place=AugmentPlace(work.place))
    stopping = StoppingConfig(None)
    config = resolved(
        Config(backbone=backbone, augment=augment, trainer=trainer, stopping=stopping)
    )
    samples = [
        Sample(f"lesion {i}", i, label, f"patient {i}", f"lesion {i}")
        for i, label in enumerate(labels)
    ]
    n, all_of_them = work.trained, range(len(samples))
    held_out = tuple(all_of_them[n:])
    split = Split(ProtocolName.patient, 0, tuple(all_of_them[:n]), held_out, held_out, 0, "random")
    data = CropData(pixels, samples, split, config.augment, config.trainer, seed=0)
    built = build_classifier(backbone, 0)
    module = Classifier(built, backbone, config.head, config.trainer)
    trial = plan_trial("benchmark", config, "random")
    watch.start()
    run_trajectory(module, data, [trial], [_Times(watch)])
    watch.stop()
