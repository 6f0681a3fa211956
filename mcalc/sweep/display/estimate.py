"""How long a plan takes at most on this machine, and what it leaves on the disk."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcalc.config import Config, DataConfig, KeepModels, PlannedTrial, Precision, TrackingConfig
from mcalc.data import IndexedData, split_of
from mcalc.data.loading import check_trainable, run_length
from mcalc.data.splits import Split
from mcalc.sweep.display.step_times import (
    MeasuredStep,
    StepFailedError,
    has_features,
    step_time,
)
from mcalc.tracking import Speed, read_speeds, what_is_frozen
from mcalc.training import resolve_precision, uses_gpu
from mcalc.trials import device_name, memory_format

_EVALUATION_SHARE = 1 / 3
"""Of a training step's work, a forward pass."""
_HEAD_SECONDS = 0.001
"""What an iteration on features takes beside the head's arithmetic, at most: half of it for
AlexNet's on one Zen 4 core."""
_START_SECONDS = 4.0
"""Until the first training run begins: imports, the data, both stores. Two Zen 5 cores."""
_TRIAL_SECONDS = 0.15
"""Of a trial beside its iterations: opening it, its final figures and files. The same machine."""
_RECORD_BYTES = 2_000_000
"""Tables, figures and small crops of a trial, about."""

_MOST_FEATURES = 8 * 2**30
"""Bytes of a run's features above which none are kept: `mcalc.training.frozen.MOST_BYTES`, without
PyTorch."""


@dataclass(frozen=True)
class Estimate:
    """What a plan takes at most: patience and pruning may end its runs sooner."""

    seconds: float
    iterations: int
    """Of all training runs together."""
    recorded: int
    """Training runs of it whose speed this machine has recorded; the others' was measured."""
    measured: datetime | None
    """When the oldest of those was."""
    alone: bool
    """Whether the machine was quiet whenever one was."""
    weights_known: frozenset[str]
    """Backbones that have trained here, or whose weights a server offers."""
    runs: int
    disk: int
    """Bytes that stay in the record."""
    features: int
    """Bytes of features in the cache, at most: some may lie there."""
    checkpoint: int
    """Bytes of the largest checkpoint while a run is under way."""
    unmeasured: int = 0
    """Training runs whose step failed: of these there are the iterations alone."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Their backbones, and with what error a step of each failed."""


class Estimator:
    """Estimates training runs from this machine's record, else from a few steps (`step_time`).

    What it has measured it does not measure again, and nothing of the record is read twice.
    """

    def __init__(
        self,
        data: Callable[[DataConfig], IndexedData],
        measured: Callable[[Config], MeasuredStep],
    ) -> None:
        """
        Args:
            data: the images of a config.
            measured: measures a training step of a config.
        """
        self._data = data
        self._measured = measured
        self._steps: dict[tuple[str, ...], MeasuredStep | StepFailedError] = {}
        self._recorded: dict[tuple[str, ...], Speed | None] = {}
        self._splits: dict[str, Split] = {}

    def of(
        self, runs: Sequence[Sequence[PlannedTrial]], *, features_differ: bool = False
    ) -> Estimate:
        """What training runs take.

        Args:
            runs: trials that share a training run, of each run.
            features_differ: no two runs share their features, though their settings are equal here.

        A network whose step fails has no time and no disk in it.

        Raises UserError for a config that cannot be split or trained on, or has no such network.
        """
        known: set[str] = set()
        used: list[MeasuredStep] = []
        computed: dict[str, int] = {}
        best: dict[str, int] = {}
        failed: dict[str, str] = {}
        seconds, iterations, recorded, unmeasured, disk, largest = _START_SECONDS, 0, 0, 0, 0, 0
        for number, run in enumerate(runs):
            config = run[0].config
            # most runs of a plan share one split
            name = repr((config.data, config.protocol, config.seed))
            if name not in self._splits:
                self._splits[name] = split_of(self._data(config.data).index, config).split
            split = self._splits[name]
            # a step of a batch that no epoch fills may take more memory than there is
            check_trainable(split, config.augment, config.trainer)
            length = run_length(len(split.train), config.trainer)
            iterations += length.iterations
            try:
                each, size, step = self._speed(config, len(split.validation))
                found = self._features(config, split) if has_features(config) else (0, 0.0)
            except StepFailedError as error:
                unmeasured += 1
                failed[config.backbone.name] = str(error)
                continue
            if step:
                used.append(step)
            if step is None or step.offered:
                known.add(config.backbone.name)
            seconds += each * length.iterations + _TRIAL_SECONDS * len(run)
            features = _features_of(config, name) + (f" {number}" if features_differ else "")
            if features not in computed:
                computed[features], longer = found
                seconds += longer
            recorded += step is None
            kept = config.tracking.keep_models
            if kept is KeepModels.all:
                disk += size * len(run)
            elif kept is KeepModels.best:
                best[name] = max(size, best.get(name, 0))
            disk += _RECORD_BYTES * len(run)
            if config.tracking.checkpoint_minutes:
                largest = max(largest, (3 if config.stopping.network.value == "best" else 2) * size)
        return Estimate(
            seconds,
            iterations,
            recorded,
            min((step.when for step in used), default=None),
            all(step.alone for step in used),
            frozenset(known),
            len(runs),
            disk + sum(best.values()),
            sum(computed.values()),
            largest,
            unmeasured,
            failed,
        )

    def _step(self, config: Config) -> MeasuredStep:
        kind = _kind(config)
        if kind not in self._steps:
            try:
                self._steps[kind] = step_time(kind, lambda: self._measured(config))
            except StepFailedError as error:
                self._steps[kind] = error
        step = self._steps[kind]
        if isinstance(step, StepFailedError):
            raise step
        return step

    def _speed(self, config: Config, evaluated: int) -> tuple[float, int, MeasuredStep | None]:
        """Seconds per iteration, bytes of the network, and the step where the record has no time.

        `evaluated`: images of a validation evaluation.
        """
        kind = _kind(config)
        if kind not in self._recorded:
            self._recorded[kind] = _recorded(config.tracking, kind)
        recorded = self._recorded[kind]
        if recorded and recorded.network_bytes is not None:
            return recorded.seconds, recorded.network_bytes, None
        if config.backbone.freeze == "all":
            step = self._step(_exact(config))
            work, beside = step.head_seconds, _HEAD_SECONDS
        else:
            step = self._step(config)
            work, beside = step.seconds, 0.0
        evaluation = work / config.trainer.batch_size * _EVALUATION_SHARE * evaluated
        if recorded:
            return recorded.seconds, step.network_bytes, None
        return work + beside + evaluation / config.trainer.val_every, step.network_bytes, step

    def _features(self, config: Config, split: Split) -> tuple[int, float]:
        """Bytes of a run's features, and the seconds to compute them, at most."""
        alone = config.backbone.freeze == "all"
        step, rows = self._step(_exact(config) if alone else config), _feature_rows(config, split)
        size = rows * step.feature_bytes
        # where some stages learn, the step has been measured with those that are frozen
        seconds = rows * step.seconds / config.trainer.batch_size if alone else 0.0
        return size if size <= _MOST_FEATURES else 0, seconds


def most_of(estimates: Sequence[Estimate]) -> Estimate:
    """At most what any of these takes; where the times come from is said of the longest."""
    return replace(
        max(estimates, key=lambda each: each.seconds),
        iterations=max(each.iterations for each in estimates),
        weights_known=frozenset().union(*(each.weights_known for each in estimates)),
        disk=max(each.disk for each in estimates),
        features=max(each.features for each in estimates),
        checkpoint=max(each.checkpoint for each in estimates),
        failed={name: why for each in estimates for name, why in each.failed.items()},
    )


def _kind(config: Config) -> tuple[str, ...]:
    """What a training step's time depends on: the fields of `read_speeds`, threads last.

    PyTorch, which would say how many threads are its default, is not asked, as its import takes
    seconds.
    """
    trainer = config.trainer
    return (
        config.backbone.name,
        str(trainer.batch_size),
        what_is_frozen(config.backbone.freeze, str(config.augment.enabled)),
        device_name("cuda" if uses_gpu(trainer) else "cpu"),
        resolve_precision(trainer).value,
        memory_format(trainer),
        str(trainer.threads or ""),
    )


def _recorded(tracking: TrackingConfig, kind: tuple[str, ...]) -> Speed | None:
    """This machine's recorded speed; with as many threads as it ever used, where none are set."""
    *others, threads = kind
    found = {
        int(number): speed
        for (*fields, number), speed in read_speeds(tracking, platform.node()).items()
        if fields == others and number.isdecimal() and threads in ("", number)
    }
    return found[max(found)] if found else None


def _exact(config: Config) -> Config:
    """In fp32, as what lies below a frozen head is computed."""
    return replace(config, trainer=replace(config.trainer, precision=Precision.fp32))


def _feature_rows(config: Config, split: Split) -> int:
    """Images that are shown to what is frozen: each augmented copy, and those evaluated."""
    augmented = config.augment.enabled and config.backbone.freeze == "all"
    evaluated = {*split.validation, *split.reported}
    return len(split.train) * (config.augment.frozen_copies if augmented else 1) + len(evaluated)


def _features_of(config: Config, split: str) -> str:
    """What tells a file of features from another, beside what is the same in all runs of a plan.

    `split`: what tells the images apart, and their subsets.
    """
    backbone, trainer = config.backbone, config.trainer
    network = (backbone.name, backbone.weights, backbone.on_missing_weights, backbone.freeze)
    computed = (trainer.batch_size, trainer.eval_batch_size, trainer.threads, trainer.channels_last)
    return repr((network, computed, trainer.accelerator, config.augment, split))


def format_bytes(size: float) -> str:
    """`800 MB`, `4.6 GB`."""
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
