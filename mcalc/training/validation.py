"""What happens between a training run's iterations: evaluations, the ends of trials, checkpoints.

Whoever iterates, Lightning or the loop of a head alone, is a `Loop` here.

Validation is MATLAB's (trainNetwork): after the first iteration, after every `val_every`-th one,
and after the last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcalc.config import Network, PlannedTrial
from mcalc.data.loading import CropData, Subset
from mcalc.data.splits import MALIGNANT
from mcalc.errors import UserError
from mcalc.evaluation import auc
from mcalc.models import Classifier
from mcalc.models.tensors import copies_of, put_tensors, tensors_of
from mcalc.results import CurvePoint, Predictions, TrialResult
from mcalc.training.checkpoint import Checkpoint, CheckpointFile, Snapshot, Weights
from mcalc.training.device import Setup
from mcalc.training.listener import Listener
from mcalc.training.patience import ValidationPatience
from mcalc.training.random_state import RandomState


class DivergedError(UserError):
    """Training diverged: a loss is not a number."""


@dataclass(frozen=True)
class Checkpointing:
    """Where a run keeps its checkpoint and how often it writes one."""

    file: CheckpointFile
    minutes: float
    """Shortest time between two; 0: none, except at an interruption."""


class Loop(Protocol):
    """What iterates."""

    @property
    def iterations(self) -> int:
        """Iterations that it has done in this process."""

    @property
    def module(self) -> Classifier:
        """What it trains."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves the weights."""

    def arithmetic(self) -> AbstractContextManager[None]:
        """Around a forward pass: the precision of the run."""

    def stop(self) -> None:
        """End after the iteration under way."""


class ValidationSchedule:
    """Evaluates on MATLAB's schedule, ends each trial where its patience ends, and checkpoints."""

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        data: CropData,
        listeners: Sequence[Listener],
        setup: Setup,
        checkpointing: Checkpointing | None = None,
        start: Checkpoint | None = None,
    ) -> None:
        self.running = {trial.key: (trial, ValidationPatience(trial.patience)) for trial in trials}
        # trials of one run differ in patience alone
        self.settings = trials[0].config.trainer
        self.network = trials[0].config.stopping.network
        self.freezes_all = trials[0].config.backbone.freeze == "all"
        self.data = data
        self.length = data.length
        self.listeners = listeners
        self.conditions = setup
        self.checkpointing = checkpointing
        self.start = start
        self.curve: list[CurvePoint] = list(start.curve) if start else []
        self.results: list[TrialResult] = []
        self.best = start.best if start else None
        self.latest: Snapshot | None = None
        self.stop: BaseException | None = None
        """Set from outside to stop after the iteration under way, with this error."""
        for point in self.curve:
            for _, patience in self.running.values():
                patience.update(point.val_loss)
        self.best_loss = min((point.val_loss for point in self.curve), default=math.inf)
        self.began = time.perf_counter() - (start.seconds if start else 0.0)
        self._saved = time.monotonic()

    def begin(self, loop: Loop) -> None:
        """Restore the optimizer and the random generators from the checkpoint."""
        for listener in self.listeners:
            listener.started(self.length.iterations)
        if self.start is None:
            return
        loop.optimizer.load_state_dict(self.start.optimizer)
        loop.module.put_training_tally(self.start.tally, self.start.tally_seen)
        self.start.random.put()
        for listener in self.listeners:
            listener.resumed(self.start)

    def iterated(self, loop: Loop) -> None:
        """Evaluate where the schedule says, and end the trials whose patience is used up."""
        iteration = self._iteration(loop)
        for listener in self.listeners:
            listener.iterated(iteration)
        evaluates = iteration == 1 or iteration % self.settings.val_every == 0
        if evaluates:
            self._evaluation(loop, iteration)
            if not self.running:
                loop.stop()
                return
        if iteration < self.length.iterations:
            self._checkpoint(loop, iteration, asks=evaluates)

    def end(self, loop: Loop) -> None:
        """Evaluate the last iteration's network and end the trials that are still running."""
        if not self.running:
            return
        iteration = self._iteration(loop)
        if self.latest is None or self.latest.iteration != iteration:
            self._evaluate(loop, iteration)
        limit = self.settings.max_iterations
        reason = "max_iterations" if limit and iteration >= limit else "max_epochs"
        for trial, _ in list(self.running.values()):
            self._finish(loop, trial, reason)

    def settle(self) -> None:
        """Wait until every listener has recorded what was reported."""
        for listener in self.listeners:
            listener.settle()

    def note(self, text: str) -> None:
        """Report to every listener something that needs no action."""
        for listener in self.listeners:
            listener.noted(text)

    def _iteration(self, loop: Loop) -> int:
        return loop.iterations + (self.start.iteration if self.start else 0)

    def _evaluation(self, loop: Loop, iteration: int) -> None:
        point = self._evaluate(loop, iteration)
        for trial, patience in list(self.running.values()):
            if patience.update(point.val_loss):
                self._finish(loop, trial, "patience")
            elif self._is_pruned(trial, point):
                del self.running[trial.key]
                for listener in self.listeners:
                    listener.pruned(trial, self.curve, time.perf_counter() - self.began)

    def _is_pruned(self, trial: PlannedTrial, point: CurvePoint) -> bool:
        answers = [each.prunes(trial, len(self.curve), point) for each in self.listeners]
        return any(answers)

    def _evaluate(self, loop: Loop, iteration: int) -> CurvePoint:
        module = loop.module
        train_loss, train_accuracy = module.take_training_means()
        predictions, logits, labels = predict(loop, self.data, self.data.validation)
        loss = float(F.cross_entropy(logits, labels))
        if not (math.isfinite(loss) and math.isfinite(train_loss)):
            raise DivergedError(
                f"training diverged: at iteration {iteration} the loss is no longer a number "
                f"(training {train_loss:g}, validation {loss:g}); try a smaller trainer.lr "
                f"(it is {self.settings.lr:g}) or smaller head.weight_lr and head.bias_lr"
            )
        self.latest = Snapshot(iteration, predictions, None)
        if loss < self.best_loss:
            self.best_loss = loss
            if self.network is Network.best:
                self.best = Snapshot(iteration, predictions, copies_of(module.model))
        point = CurvePoint(
            iteration=iteration,
            epoch=iteration / self.length.per_epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=loss,
            val_accuracy=float((logits.argmax(1) == labels).double().mean()),
            val_auc=auc(predictions.labels, predictions.probabilities),
        )
        self.curve.append(point)
        running = [trial for trial, _ in self.running.values()]
        for listener in self.listeners:
            listener.evaluated(point, running)
        return point

    def _finish(self, loop: Loop, trial: PlannedTrial, reason: str) -> None:
        evaluated = self.best if self.network is Network.best else self.latest
        assert evaluated is not None  # a trial ends on an evaluation, never before the first
        apart = self.data.reported_apart
        reported = self._predict_reported(loop, evaluated) if apart else evaluated
        result = TrialResult(
            name=trial.name,
            key=trial.key,
            iterations=self.curve[-1].iteration,
            stop_reason=reason,
            reported_iteration=reported.iteration,
            predictions=reported.predictions,
            curve=tuple(self.curve),
            seconds=time.perf_counter() - self.began,
            validation=evaluated.predictions if apart else None,
        )
        del self.running[trial.key]
        self.results.append(result)
        weights = loop.module.as_recorded(self._as_saved(loop, reported))
        for listener in self.listeners:
            listener.finished(result, weights)

    def _as_saved(self, loop: Loop, snapshot: Snapshot) -> Weights:
        """What the snapshot's network keeps of itself: what the record has of it."""
        model = loop.module.model
        if snapshot.weights is None:
            return model.state_dict()
        if _saves_its_tensors(model):
            return snapshot.weights
        now = copies_of(model)
        put_tensors(model, snapshot.weights)
        kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        put_tensors(model, now)
        return kept

    def _predict_reported(self, loop: Loop, snapshot: Snapshot) -> Snapshot:
        """The snapshot with its network's predictions of the reported set, not used until now."""
        model = loop.module.model
        now = copies_of(model) if snapshot.weights else None
        if snapshot.weights:
            put_tensors(model, snapshot.weights)
        predictions, *_ = predict(loop, self.data, self.data.reported)
        if now:
            put_tensors(model, now)
        return replace(snapshot, predictions=predictions)

    def _checkpoint(self, loop: Loop, iteration: int, *, asks: bool) -> None:
        """Write a checkpoint if one is due; where work is to stop, write one and stop.

        Whether a listener wants it to is asked at each checkpoint, and where `asks`.
        """
        pause = self.checkpointing.minutes * 60 if self.checkpointing else 0.0
        due = 0 < pause <= time.monotonic() - self._saved
        if self.stop is None and (asks or due):
            wishes = (listener.stops() for listener in self.listeners)
            self.stop = next((wish for wish in wishes if wish is not None), None)
        if self.checkpointing and (self.stop or due):
            # a trial that ended before a checkpoint could not end again after it
            self.settle()
            for listener in self.listeners:
                listener.saving(iteration)
            self._save(loop, iteration, self.checkpointing.file)
        if self.stop:
            raise self.stop

    def _save(self, loop: Loop, iteration: int, file: CheckpointFile) -> None:
        module = loop.module
        tally, seen = module.training_tally()
        checkpoint = Checkpoint(
            setup=self.conditions,
            iteration=iteration,
            weights=tensors_of(module.model),
            optimizer=loop.optimizer.state_dict(),
            random=RandomState.now(self.conditions.device),
            tally=tally,
            tally_seen=seen,
            curve=tuple(self.curve),
            best=self.best,
            seconds=time.perf_counter() - self.began,
        )
        try:
            file.save(checkpoint)
        except OSError as error:
            # training can continue; only a kill before the next checkpoint would lose more
            self.note(
                f"no checkpoint at iteration {iteration}: {file.path.parent} cannot be written "
                f"({error.strerror or error}); make room there"
            )
        self._saved = time.monotonic()


def _saves_its_tensors(model: nn.Module) -> bool:
    """Whether a network's state_dict is its tensors as they are, by their names."""
    state, tensors = model.state_dict(), tensors_of(model)
    return state.keys() == tensors.keys() and all(
        isinstance(value, Tensor)
        and value.data_ptr() == tensors[name].data_ptr()
        and value.shape == tensors[name].shape
        and value.stride() == tensors[name].stride()
        for name, value in state.items()
    )


def resumable(checkpoint: Checkpoint, trials: Sequence[PlannedTrial]) -> bool:
    """Whether, by its validation losses, no trial ends before the checkpoint."""
    for trial in trials:
        patience = ValidationPatience(trial.patience)
        if any(patience.update(point.val_loss) for point in checkpoint.curve):
            return False
    return True


@contextmanager
def _unchanged(module: Classifier) -> Iterator[None]:
    """Leave buffers and generators afterwards as they are now.

    How often a network is evaluated, as for other trials of its run, says nothing about training.
    A package's network may draw in evaluation, or keep something of what it saw.
    """
    generators = RandomState.now(module.device.type)
    found = [
        (part, name, buffer, None if buffer is None else buffer.clone())
        for part in module.model.modules()
        for name, buffer in part._buffers.items()
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for part, name, buffer, content in found:
                part._buffers[name] = buffer
                if buffer is not None and content is not None:
                    buffer.copy_(content)
        generators.put()


def predict(loop: Loop, data: CropData, subset: Subset) -> tuple[Predictions, Tensor, Tensor]:
    """Probabilities of malignant on one subset of the split, with their logits and labels.

    Logits (n, classes) float64 and labels (n,), on the CPU.
    """
    module = loop.module
    was_training = module.training
    module.eval()
    # one context around all: on leaving it, weights that were cast to bf16 are forgotten
    with _unchanged(module), torch.inference_mode(), loop.arithmetic():
        found = [
            module(images.to(module.device, non_blocking=True)).double()
            for images in data.evaluation_batches(subset)
        ]
        # read at the end: reading each batch would stall a GPU
        gathered = torch.cat(found).cpu()
    module.train(was_training)
    # cloned, as tensors of inference mode could not be used with autograd by a caller
    logits, labels = gathered.clone(), torch.tensor([sample.label for sample in subset.members])
    probabilities = torch.softmax(logits, dim=1)[:, MALIGNANT].numpy()
    truth = (labels == MALIGNANT).long().numpy()
    ids = tuple(sample.id for sample in subset.members)
    return Predictions(ids, truth, probabilities, logits=logits.numpy()), logits, labels
