"""The record of the trials of one training run, written while it runs.

Training goes on meanwhile: a thread of its own writes, in the order in which things were reported
(`mcalc.trials.background`). Opening a run, and the end of those that failed, are written at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

from mcalc.config import (
    KeepModels,
    PlannedTrial,
    flatten,
    identity_parts,
    is_numeric,
    joined,
    plugins_of,
    short_name,
)
from mcalc.console import format_time
from mcalc.data import PreparedData
from mcalc.results import VALIDATION_AUC, CurvePoint, Outcome, TrialResult
from mcalc.secret_text import hidden
from mcalc.tracking import NETWORK_BYTES_TAG, NETWORK_GONE_FILE, BestNetwork, RunWriter, Tracker
from mcalc.training import Checkpoint, Listener, Placement, Weights
from mcalc.trials.artifacts import (
    config_yaml,
    final_metrics,
    json_tag,
    secrets_of,
    write_artifacts,
)
from mcalc.trials.background import Background
from mcalc.trials.networks import BEATEN, UNRANKED, Networks, is_kept
from mcalc.trials.parameters import configuration_of, shown_settings
from mcalc.trials.provenance import git_revision, hardware, versions
from mcalc.trials.sweep_record import SweepRecord

_log = logging.getLogger(__name__)

_ALSO_KEPT = ("name", "data.source", "data.csv_split", "data.phantom.lesions", "trainer.workers")
"""Settings in MLflow beside those that change numbers."""


class Recorder(Listener):
    """Opens a run for each trial, writes its curve and results, and reports each outcome."""

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        tracker: Tracker,
        listeners: Sequence[Listener],
        within: SweepRecord,
        placement: Placement,
        said: set[tuple[str | None, str]] | None = None,
    ) -> None:
        """`said`: what this process has printed, by sweep, and does not print again."""
        self.trials = {trial.key: trial for trial in trials}
        self.title = joined([trial.name for trial in trials])
        self.tracker = tracker
        self.listeners = listeners
        self.within = within
        self.placement = placement
        self.writers: dict[str, RunWriter] = {}
        """Of runs that are open, by trial key."""
        self.outcomes: list[Outcome] = []
        self._prepared: tuple[PreparedData, str, tuple[str, ...]] | None = None
        self._background = Background("record")
        self._to_end = set(self.trials)
        """Keys of trials that have reported no end yet."""
        self._networks = Networks()
        self._said = set() if said is None else said

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Around training: at its end all that it reported is recorded.

        After a KeyboardInterrupt while trials still train, only the file or row under way is
        finished. Once all have trained, their record is completed first, unless a second one comes.
        """
        try:
            try:
                yield
                self.settle()
            except KeyboardInterrupt:
                if not self._to_end:
                    self.settle()
                raise
            except BaseException:
                # what had ended before the error keeps its result
                self.settle()
                raise
        finally:
            self._background.close()

    @property
    def is_complete(self) -> bool:
        """Whether every trial has its result, or was pruned, and is recorded."""
        ended = {outcome.key for outcome in self.outcomes if outcome.state != "failed"}
        return ended >= self.trials.keys()

    def settle(self) -> None:
        """Wait until all is written that was reported; raises why it cannot be."""
        self._background.settle()

    def open_runs(self) -> None:
        """Open or resume the run of every trial."""
        for trial in self.trials.values():
            self.writers[trial.key] = self._open(trial)

    def _open(self, trial: PlannedTrial) -> RunWriter:
        config = replace(trial.config, name=trial.name)
        # config.yaml has those of the engine too
        params = {
            k: hidden(v) if isinstance(v, str) else v
            for k, v in flatten(config).items()
            if is_numeric(k) or k in _ALSO_KEPT
        }
        tags = {
            "mcalc.trajectory": trial.trajectory,
            "mcalc.fingerprint": trial.fingerprint,
            "mcalc.protocol": config.protocol.name.value,
            "mcalc.versions": json_tag({**versions(), **plugins_of(config)}),
            "mcalc.git": git_revision(),
            "mcalc.identity": json_tag(identity_parts(config)),
            **hardware(config.trainer, self.placement),
        }
        if self.within.sweep:
            tags["mcalc.sweep_id"] = self.within.sweep
        known = self.within.known_runs.get(trial.key)
        parent = self.within.parent
        again = self.within.from_run
        writer = self.tracker.open_trial(
            trial.name,
            trial.key,
            params,
            tags,
            parent,
            known,
            again,
            shown=shown_settings(trial),
            configuration=configuration_of(trial.name, config),
        )
        for listener in self.listeners:
            listener.opened(trial, writer.run_id)
        writer.data_set(config.data.source, trial.fingerprint)
        writer.text(config_yaml(config), "config.yaml")
        return writer

    def prepared(self, data: PreparedData, weights_origin: str, notes: tuple[str, ...]) -> None:
        """Take in what is trained on; `notes` are warnings that belong to every result."""
        text = f"{data.description}; weights {weights_origin}"
        if self._is_new(text):
            _log.info(text)
        for note in notes:
            self.noted(note)
        self._prepared = data, weights_origin, notes

    def noted(self, text: str) -> None:
        """Print a warning, once a sweep."""
        if self._is_new(text):
            _log.warning(f"  warning: {text}")

    def _is_new(self, text: str) -> bool:
        """Whether this process has not printed it of this sweep."""
        entry = (self.within.sweep, text)
        if entry in self._said:
            return False
        self._said.add(entry)
        return True

    def resumed(self, checkpoint: Checkpoint) -> None:
        """Say so, and write the part of the curve that an interruption may have kept back."""
        _log.info(
            f"  {self.title}: resumes from iteration {checkpoint.iteration}, after "
            f"{format_time(checkpoint.seconds)} of training"
        )

        def write() -> None:
            for writer in self.writers.values():
                # it keeps those with which it began, perhaps on another machine
                writer.tag("mcalc.threads", str(checkpoint.setup.threads))
                for point in checkpoint.curve:
                    writer.point(point)

        self._background.do(write)

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """Write an evaluation to the runs of the trials that it belongs to."""
        keys = [trial.key for trial in running]

        def write() -> None:
            for key in keys:
                self.writers[key].point(point)

        self._background.do(write)

    def finished(self, result: TrialResult, weights: Weights) -> None:
        """Write a trial's scores, files and pictures, and close its run."""
        self._to_end.discard(result.key)
        kept = self._networks.kept(result.reported_iteration, weights, changes=bool(self._to_end))
        self._background.do(partial(self._finish, result, kept))

    def _finish(self, result: TrialResult, weights: Weights) -> None:
        assert self._prepared is not None  # training comes after preparing
        data, origin, notes = self._prepared
        trial = self._about_to_record(result.key)
        config, writer = trial.config, self.writers[result.key]
        metrics = {**final_metrics(result, data, config.metrics), **validation_metrics(result)}
        best = self._best_network(config.tracking.keep_models)
        if best is not None and VALIDATION_AUC not in metrics:
            best = None
            self.noted(UNRANKED)
            notes = (*notes, UNRANKED)
        network: AbstractContextManager[None] = nullcontext()
        if is_kept(trial, best, data.split.fingerprint, metrics):
            write = partial(self._networks.write, result.reported_iteration, weights, writer)
            network = writer.beside(write)
        elif best is not None:
            writer.text(BEATEN, NETWORK_GONE_FILE)
        with network:
            write_artifacts(writer, result, data, figures=config.backbone.freeze != "all")
        tags = {
            "mcalc.weights": origin,
            "mcalc.data": data.description,
            "mcalc.split": data.split.fingerprint,
            "mcalc.leak": data.split.leak,
            "mcalc.stop_reason": result.stop_reason,
            "mcalc.warnings": json_tag(notes),
            NETWORK_BYTES_TAG: str(sum(each.nbytes for each in weights.values())),
        }
        sealed = writer.finish(metrics, tags)
        self._end(
            Outcome(trial.name, trial.key, "finished", writer.run_id, metrics, manifest=sealed)
        )
        if best is not None:
            best.remove_beaten(data.split.fingerprint)
        _log.info(
            f"  {short_name(trial.name)}: accuracy {metrics['accuracy']:.4f}"
            f"{_interval(metrics, 'accuracy')}, AUC {metrics['auc']:.3f}"
            f"{_interval(metrics, 'auc')} on {metrics['n']:.0f} {config.data.unit}s; "
            f"stopped at iteration {result.iterations} ({result.stop_reason}) "
            f"after {format_time(result.seconds)}"
        )

    def _best_network(self, kept: KeepModels) -> BestNetwork | None:
        """The networks of the sweep, where only its best stays; a single trial has no rival."""
        if kept is not KeepModels.best or self.within.parent is None:
            return None
        return self.tracker.best_network(self.within.parent)

    def pruned(self, trial: PlannedTrial, curve: Sequence[CurvePoint], seconds: float) -> None:
        """Close the run of a pruned trial with its curve."""
        self._to_end.discard(trial.key)
        self._background.do(partial(self._prune, trial, tuple(curve), seconds))

    def _prune(self, trial: PlannedTrial, curve: Sequence[CurvePoint], seconds: float) -> None:
        self._about_to_record(trial.key)
        writer = self.writers[trial.key]
        metrics = {"iterations": float(curve[-1].iteration), "seconds": seconds}
        writer.curve(curve)
        sealed = writer.prune(metrics, {"mcalc.stop_reason": "pruned"})
        self._end(Outcome(trial.name, trial.key, "pruned", writer.run_id, metrics, manifest=sealed))
        _log.info(f"  {short_name(trial.name)}: pruned at iteration {curve[-1].iteration}")

    def _about_to_record(self, key: str) -> PlannedTrial:
        trial = self.trials[key]
        for listener in self.listeners:
            listener.recording(trial)
        return trial

    def _end(self, outcome: Outcome) -> None:
        """Report each outcome at once, so that a later crash cannot lose it."""
        self.writers.pop(outcome.key, None)
        self.outcomes.append(outcome)
        for listener in self.listeners:
            listener.recorded(outcome)

    def fail_rest(
        self, error: str, trace: str = "", *, killed: bool = False, retry: bool = True
    ) -> None:
        """Record every trial without an outcome as failed, or as interrupted where `killed`.

        What its addresses keep secret is hidden in the error and the trace.
        """
        ended = {outcome.key for outcome in self.outcomes}
        addresses = [each for trial in self.trials.values() for each in secrets_of(trial.config)]
        error, trace = hidden(error, *addresses), hidden(trace, *addresses)
        if ended >= self.trials.keys():
            # the results stand: it is not lost for all that
            _log.warning(f"  after {self.title} was recorded: {error}")
        for trial in self.trials.values():
            if trial.key in ended:
                continue
            writer = self.writers.get(trial.key)
            run_id = writer.run_id if writer else None
            if writer:
                writer.fail(error, trace, killed=killed)
            if not killed:
                self._end(Outcome(trial.name, trial.key, "failed", run_id, {}, error, retry))


def _interval(metrics: Mapping[str, float], name: str) -> str:
    """` [0.300, 0.903]`; nothing where there is none."""
    low, high = (metrics.get(f"{name}_{side}", math.nan) for side in ("low", "high"))
    return "" if math.isnan(low) or math.isnan(high) else f" [{low:.3f}, {high:.3f}]"


def validation_metrics(result: TrialResult) -> dict[str, float]:
    """What the reported network reached on the subset that stops training.

    `validation_auc` is there only where nothing of that subset is reported: by it trials may be
    ranked.
    """
    for point in result.curve:
        if point.iteration == result.reported_iteration:
            apart = {} if result.validation is None else {VALIDATION_AUC: point.val_auc}
            return apart | {
                f"reported_{name}": getattr(point, name)
                for name in ("val_loss", "val_accuracy", "val_auc")
            }
    return {}
