"""One training run, and every trial that stops on it.

Trials that differ in patience alone see the same network at the same iteration, so one run serves
them all: each watches the same validation losses and takes its result where its own patience ends.
Evaluation draws no random number and changes no weight, hence a trial taken from a shared run
equals the same trial run alone.

Validation is MATLAB's (trainNetwork): after the first iteration, after every `val_every`-th one,
and after the last.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from mcalc.allocator import keep_freed_memory
from mcalc.config import Accelerator, Network, Precision, StoppingConfig, TrainerConfig
from mcalc.data.datamodule import CropData, Crops
from mcalc.data.samples import MALIGNANT
from mcalc.errors import UserError
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint, Predictions, TrialResult
from mcalc.stopping import ValidationPatience

Weights = Mapping[str, Tensor]


class DivergedError(UserError):
    """Training lost its way: a loss is no number."""


@dataclass(frozen=True)
class Trial:
    """What one trial adds to its trajectory."""

    name: str
    key: str
    patience: int | None


@dataclass
class Observer:
    """What to call while a trajectory runs; each does nothing unless given."""

    point: Callable[[CurvePoint, Sequence[Trial]], None] = lambda _point, _open: None
    """After each evaluation, with the trials that still run."""
    finished: Callable[[TrialResult, Weights], None] = lambda _result, _weights: None
    """When a trial has its result, with the reported network's weights."""
    callbacks: list[pl.Callback] = field(default_factory=list)
    """Further Lightning callbacks (a progress display)."""


@dataclass(frozen=True)
class _Snapshot:
    iteration: int
    predictions: Predictions
    weights: Weights | None
    """None for the network as it stands now."""


class ValidationSchedule(pl.Callback):
    """Evaluates on MATLAB's schedule, and ends each trial where its patience ends."""

    def __init__(
        self,
        trials: Sequence[Trial],
        data: CropData,
        settings: TrainerConfig,
        network: Network,
        observer: Observer,
    ) -> None:
        self.open = {trial.key: (trial, ValidationPatience(trial.patience)) for trial in trials}
        self.data = data
        self.settings = settings
        self.network = network
        self.observer = observer
        self.curve: list[CurvePoint] = []
        self.results: list[TrialResult] = []
        self.best_loss = math.inf
        self.best: _Snapshot | None = None
        self.latest: _Snapshot | None = None
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Evaluate where the schedule says, and end the trials whose patience is out."""
        iteration = trainer.global_step
        if iteration == 1 or iteration % self.settings.val_every == 0:
            loss = self._evaluate(trainer, iteration)
            for trial, patience in list(self.open.values()):
                if patience.update(loss):
                    self._finish(trainer, trial, "patience")
            if not self.open:
                trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate the last iteration's network and end the trials that are still open."""
        if not self.open:
            return
        iteration = trainer.global_step
        if self.latest is None or self.latest.iteration != iteration:
            self._evaluate(trainer, iteration)
        limit = self.settings.max_iterations
        reason = "max_iterations" if limit and iteration >= limit else "max_epochs"
        for trial, _ in list(self.open.values()):
            self._finish(trainer, trial, reason)

    def _evaluate(self, trainer: pl.Trainer, iteration: int) -> float:
        module = _classifier(trainer)
        train_loss, train_accuracy = module.take_training_means()
        predictions, logits, labels = predict(trainer, module, self.data, self.data.validation)
        loss = float(F.cross_entropy(logits, labels))
        if not (math.isfinite(loss) and math.isfinite(train_loss)):
            raise DivergedError(
                f"training diverged: at iteration {iteration} the loss is no longer a number "
                f"(training {train_loss:g}, validation {loss:g}); try a smaller trainer.lr "
                f"(it is {self.settings.lr:g}) or smaller head.weight_lr and head.bias_lr"
            )
        self.latest = _Snapshot(iteration, predictions, None)
        if loss < self.best_loss:
            self.best_loss = loss
            if self.network is Network.best:
                self.best = _Snapshot(iteration, predictions, _copy(module.model.state_dict()))
        point = CurvePoint(
            iteration=iteration,
            epoch=iteration / self.data.iterations_per_epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=loss,
            val_accuracy=float((logits.argmax(1) == labels).double().mean()),
        )
        self.curve.append(point)
        self.observer.point(point, [trial for trial, _ in self.open.values()])
        return loss

    def _finish(self, trainer: pl.Trainer, trial: Trial, reason: str) -> None:
        reported = self.best if self.network is Network.best else self.latest
        assert reported is not None  # a trial ends on an evaluation, never before the first
        if self.data.reported_apart:
            reported = self._predict_reported(trainer, reported)
        result = TrialResult(
            name=trial.name,
            key=trial.key,
            patience=trial.patience,
            iterations=self.curve[-1].iteration,
            stop_reason=reason,
            reported_iteration=reported.iteration,
            predictions=reported.predictions,
            curve=tuple(self.curve),
            seconds=time.perf_counter() - self.began,
        )
        del self.open[trial.key]
        self.results.append(result)
        weights = reported.weights
        if weights is None:
            weights = _classifier(trainer).model.state_dict()
        self.observer.finished(result, weights)

    def _predict_reported(self, trainer: pl.Trainer, snapshot: _Snapshot) -> _Snapshot:
        """The snapshot with what its network says of the reported side, kept apart until now."""
        model = _classifier(trainer).model
        now = _copy(model.state_dict()) if snapshot.weights else None
        if snapshot.weights:
            model.load_state_dict(snapshot.weights)
        predictions, *_ = predict(trainer, _classifier(trainer), self.data, self.data.reported)
        if now:
            model.load_state_dict(now)
        return replace(snapshot, predictions=predictions)


def evaluate(
    trainer: pl.Trainer, module: Classifier, data: CropData, side: Crops
) -> tuple[Tensor, Tensor]:
    """Logits (n, classes) float64 and labels (n,) of one side of the split, on the CPU."""
    was_training = module.training
    module.eval()
    logits, labels = [], []
    with torch.inference_mode():
        for images, truth in data.evaluation_dataloader(side):
            with trainer.precision_plugin.forward_context():
                logits.append(module(images.to(module.device, non_blocking=True)).double().cpu())
            labels.append(truth)
    module.train(was_training)
    # cloned, as tensors of inference mode could not be used with autograd by a caller
    return torch.cat(logits).clone(), torch.cat(labels).clone()


def predict(
    trainer: pl.Trainer, module: Classifier, data: CropData, side: Crops
) -> tuple[Predictions, Tensor, Tensor]:
    """Probabilities of malignant on one side of the split, with the logits and labels behind."""
    logits, labels = evaluate(trainer, module, data, side)
    probabilities = torch.softmax(logits, dim=1)[:, MALIGNANT].numpy()
    truth = (labels == MALIGNANT).long().numpy()
    ids = tuple(sample.id for sample in side.members)
    return Predictions(ids, truth, probabilities), logits, labels


def run_trajectory(
    module: Classifier,
    data: CropData,
    trials: Sequence[Trial],
    settings: TrainerConfig,
    stopping: StoppingConfig,
    seed: int,
    observer: Observer | None = None,
) -> list[TrialResult]:
    """Train once and give the result of every trial, in the order in which they stopped.

    Raises DivergedError when a loss is no number; trials that had stopped before keep their results
    (the observer has them).
    """
    observer = observer or Observer()
    # it would say which devices there are not, and advertise
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    keep_freed_memory()
    torch.set_num_threads(settings.threads or torch.get_num_threads())
    pl.seed_everything(seed, workers=True, verbose=False)
    if settings.channels_last:
        module = module.to(memory_format=torch.channels_last)
    module.train()  # Lightning keeps each part in the mode in which it comes
    schedule = ValidationSchedule(trials, data, settings, stopping.network, observer)
    with warnings.catch_warnings():
        # `workers` is the user's choice, and on few cores none is the right one
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # Lightning 2.6 asks torch's pytree in a way that torch 2.15 has renamed
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
        trainer = pl.Trainer(
            accelerator="gpu" if uses_gpu(settings) else "cpu",
            devices=1,
            precision="bf16-mixed" if resolve_precision(settings) is Precision.bf16 else "32-true",
            max_epochs=settings.max_epochs,
            max_steps=settings.max_iterations or -1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[schedule, *observer.callbacks],
        )
        _fit(trainer, module, data)
    return schedule.results


def _fit(trainer: pl.Trainer, module: Classifier, data: CropData) -> None:
    """Lightning's fit, with Ctrl-C as KeyboardInterrupt.

    Lightning makes an exit with status 1 of it and has further ones ignored, so that no record
    could be closed and no sweep could say how to go on.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def uses_gpu(settings: TrainerConfig) -> bool:
    """Whether training runs on a GPU here. Raises UserError where one is asked for in vain."""
    there = torch.cuda.is_available()
    if settings.accelerator is Accelerator.gpu and not there:
        raise UserError(
            "trainer.accelerator=gpu, but PyTorch sees no CUDA device here: use auto or cpu, or "
            "check the driver with nvidia-smi"
        )
    return there and settings.accelerator is not Accelerator.cpu


def resolve_precision(settings: TrainerConfig) -> Precision:
    """The precision that `auto` means on this machine: bf16 where the hardware computes in it."""
    if settings.precision is not Precision.auto:
        return settings.precision
    if uses_gpu(settings):
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return Precision.bf16 if fast else Precision.fp32


def _classifier(trainer: pl.Trainer) -> Classifier:
    module = trainer.lightning_module
    assert isinstance(module, Classifier)
    return module


def _copy(weights: Weights) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
