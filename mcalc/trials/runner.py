"""One trial, or the trials of one trajectory, from data to record."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcalc.allocator import give_back_memory
from mcalc.config.identity import is_numeric, trajectory_key, trial_key
from mcalc.config.paths import flatten
from mcalc.config.schema import Config, TrialSpec
from mcalc.console import Display, TrainingProgress, console, counting
from mcalc.data.loading.datamodule import CropData
from mcalc.data.pipeline import IndexedData, PreparedData, index_data, prepare_data
from mcalc.data.splits.samples import class_count
from mcalc.errors import CutOffError, UserError
from mcalc.models.backbones import build_classifier
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint, Outcome, TrialResult
from mcalc.tracking.tracker import Tracker, TrialRecord
from mcalc.training.checkpoint import Checkpoint, CheckpointFile, Weights, checkpoint_path
from mcalc.training.trajectory import run_trajectory
from mcalc.training.validation import Checkpointing, DivergedError, Observer, Trial
from mcalc.trials.artifacts import config_yaml, final_metrics, json_tag, write_artifacts
from mcalc.trials.provenance import git_revision, hardware, versions

_ALSO_SHOWN = ("name", "data.source", "data.csv_split", "data.phantom.lesions", "trainer.workers")
"""Parameters in MLflow beside those that change numbers."""


class FullDiskError(UserError):
    """The record cannot be written for want of room: no trial can go on."""


class LostClaimError(UserError):
    """Another worker has taken the trials over."""


@dataclass
class Watch:
    """What a sweep wants to know, and may decide, while trials run; nothing unless given."""

    began: Callable[[str, str], None] = lambda _key, _run_id: None
    """A trial's record is open: its key and MLflow run."""
    report: Callable[[str, int, CurvePoint], bool] = lambda _key, _evaluation, _point: False
    """A trial's n-th evaluation, from 1; True prunes it."""
    held: Callable[[], bool] = lambda: True
    """Whether the trials are still ours to record."""
    ended: Callable[[Outcome], None] = lambda _outcome: None
    """A trial is finished, pruned or failed, and its record closed."""
    known_runs: Mapping[str, str] = field(default_factory=dict)
    """By key, MLflow runs of earlier attempts, to go on in."""
    display: Display | None = None
    """Where progress is shown, if not on a line of its own."""
    gpu: int = 0
    """CUDA device to train on, where there are several."""
    cores: int | None = None
    """CPU threads to take where the trial does not say; None for all."""


def trial_name(config: Config) -> str:
    """The name given, or one made from backbone and head rates."""
    head = f"{config.head.weight_lr:g}-{config.head.bias_lr:g}-{config.head.weight_l2:g}"
    return config.name or f"{config.backbone.name}-{head}-seed{config.seed}"


def run(config: Config) -> list[Outcome]:
    """Run one trial. One that is finished already is not run again, unless `rerun`.

    An error of the trial is recorded with it and comes back in its outcome; Ctrl-C closes the
    record and goes through.

    Raises UserError where nothing can be run at all: the data cannot be opened, the record cannot
    be written.
    """
    opened = index_data(config.data)
    tracker = open_tracker(config)
    key = trial_key(config, opened.fingerprint)
    trial = Trial(trial_name(config), key, config.stopping.patience)
    done = None if config.rerun else tracker.finished(key)
    if done:
        console.print(
            f"{trial.name} is finished already (run {done.run_id}); rerun=true runs it anew"
        )
        return [replace(done, name=trial.name, state="skipped")]
    return run_trials(config, opened, [trial], tracker)


def open_tracker(config: Config) -> Tracker:
    """The record that a config names."""
    return Tracker(Path(config.tracking.dir), config.tracking.experiment, config.tracking.uri)


def trials_of(config: Config, specs: Sequence[TrialSpec], fingerprint: str) -> list[Trial]:
    """The trials of one trajectory, which differ in patience alone."""
    trials = []
    for spec in specs:
        own = replace(config, stopping=replace(config.stopping, patience=spec.patience))
        trials.append(Trial(spec.name, trial_key(own, fingerprint), spec.patience))
    return trials


def run_trials(
    config: Config,
    opened: IndexedData,
    trials: Sequence[Trial],
    tracker: Tracker,
    watch: Watch | None = None,
) -> list[Outcome]:
    """Run the trials of one trajectory and record them; an outcome for each.

    Raises FullDiskError where the record has no room, and LostClaimError where another worker
    has taken over; the records then stay open, for who goes on with them.
    """
    return _Recording(config, opened, trials, tracker, watch or Watch()).run()


class _Recording:
    """Runs a trajectory with a record open for each of its trials."""

    def __init__(
        self,
        config: Config,
        opened: IndexedData,
        trials: Sequence[Trial],
        tracker: Tracker,
        watch: Watch,
    ) -> None:
        self.config = config
        self.opened = opened
        self.trials = trials
        self.tracker = tracker
        self.watch = watch
        self.trajectory = trajectory_key(config, opened.fingerprint)
        self.records: dict[str, TrialRecord] = {}
        self.outcomes: list[Outcome] = []

    def run(self) -> list[Outcome]:
        try:
            for trial in self.trials:
                self.records[trial.key] = self._open_record(trial)
            self._train()
        except KeyboardInterrupt:
            self._close_open("interrupted", "", killed=True)
            raise
        except (LostClaimError, CutOffError):
            raise
        except UserError as error:
            self._close_open(str(error), "", retry=not isinstance(error, DivergedError))
        except Exception as error:
            if is_full_disk(error):
                raise full_disk(self.config) from error
            # whatever a trial fails of, it is recorded, and the other trials of a sweep go on
            self._close_open(f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            give_back_memory()
        return self.outcomes

    def _names(self) -> str:
        return ", ".join(trial.name for trial in self.trials)

    def _open_record(self, trial: Trial) -> TrialRecord:
        own = replace(
            self.config,
            name=trial.name,
            stopping=replace(self.config.stopping, patience=trial.patience),
        )
        # what speaks to the engine alone (config.yaml has it) would only lengthen MLflow's lists
        params = {k: v for k, v in flatten(own).items() if is_numeric(k) or k in _ALSO_SHOWN}
        tags = {
            "mcalc.trajectory": self.trajectory,
            "mcalc.fingerprint": self.opened.fingerprint,
            "mcalc.protocol": own.protocol.name.value,
            "mcalc.versions": json_tag(versions()),
            "mcalc.git": git_revision(),
            **hardware(own.trainer, self.watch.cores),
        }
        if own.job.sweep:
            tags["mcalc.sweep_id"] = own.job.sweep
        known = self.watch.known_runs.get(trial.key)
        record = self.tracker.open_trial(trial.name, trial.key, params, tags, own.job.parent, known)
        self.watch.began(trial.key, record.run_id)
        if not known:
            record.text(config_yaml(own), "config.yaml")
        return record

    def _train(self) -> None:
        config = self.config
        built = build_classifier(config.backbone, config.seed, class_count(config.data))
        with counting(console, "preparing images") as progress:
            ready = prepare_data(self.opened, config, built.contract.size, progress)
        notes = (*built.warnings, *ready.warnings)
        console.print(f"{self._names()}: {ready.description}; weights {built.weights_origin}")
        for note in notes:
            self._note(note)
        data = CropData(
            ready.prepared.images,
            ready.samples,
            ready.split,
            config.augment,
            config.trainer,
            config.seed,
        )
        total = data.iterations_per_epoch * config.trainer.max_epochs
        total = min(total, config.trainer.max_iterations or total)
        bar = TrainingProgress(console, self._names(), total, self.watch.display)
        evaluations = 0

        def resumed(checkpoint: Checkpoint) -> None:
            nonlocal evaluations
            evaluations = len(checkpoint.curve)
            bar.resume(checkpoint.iteration)
            console.print(
                f"  {self._names()}: goes on from iteration {checkpoint.iteration}, after "
                f"{checkpoint.seconds:.0f} s of training"
            )
            for old in checkpoint.curve:
                for record in self.records.values():
                    record.point(old)

        def point(point: CurvePoint, still_open: Sequence[Trial]) -> None:
            nonlocal evaluations
            evaluations += 1
            bar.show(point)
            for trial in still_open:
                self.records[trial.key].point(point)

        def finished(result: TrialResult, weights: Weights) -> None:
            self._finish(result, weights, ready, built.weights_origin, notes)

        file = CheckpointFile(checkpoint_path(Path(config.tracking.dir), self.trajectory))
        run_trajectory(
            Classifier(built, config.backbone, config.head, config.trainer),
            data,
            self.trials,
            config.trainer,
            config.stopping,
            config.seed,
            Observer(
                resumed=resumed,
                point=point,
                prune=lambda p, trial: self.watch.report(trial.key, evaluations, p),
                pruned=self._prune,
                finished=finished,
                note=self._note,
                callbacks=[bar],
            ),
            Checkpointing(file, config.tracking.checkpoint_minutes),
            gpu=self.watch.gpu,
            cores=self.watch.cores,
        )

    def _note(self, text: str) -> None:
        console.print(f"  warning: {text}", style="yellow")

    def _check_held(self) -> None:
        if not self.watch.held():
            raise LostClaimError(
                f"{self._names()}: another worker took this one for dead and goes on with it; "
                "nothing is recorded here (was this machine asleep?)"
            )

    def _finish(
        self,
        result: TrialResult,
        weights: Weights,
        ready: PreparedData,
        origin: str,
        notes: Sequence[str],
    ) -> None:
        self._check_held()
        record = self.records[result.key]
        metrics = {**final_metrics(result, ready), **validation_metrics(result)}
        kept = weights if self.config.tracking.save_network else None
        write_artifacts(record, result, ready, kept)
        tags = {
            "mcalc.weights": origin,
            "mcalc.data": ready.description,
            "mcalc.split": ready.split.fingerprint,
            "mcalc.leak": ready.split.leak,
            "mcalc.stop_reason": result.stop_reason,
            "mcalc.warnings": json_tag(notes),
        }
        record.finish(metrics, tags)
        self._end(Outcome(result.name, result.key, "finished", record.run_id, metrics))
        console.print(
            f"  {result.name}: accuracy {metrics['accuracy']:.4f} "
            f"[{metrics['accuracy_low']:.3f}, {metrics['accuracy_high']:.3f}], "
            f"AUC {metrics['auc']:.3f} [{metrics['auc_low']:.3f}, {metrics['auc_high']:.3f}] "
            f"on {len(ready.split.reported)} {self.config.data.unit}s; stopped at iteration "
            f"{result.iterations} ({result.stop_reason}) after {result.seconds:.0f} s",
        )

    def _prune(self, trial: Trial, curve: Sequence[CurvePoint], seconds: float) -> None:
        self._check_held()
        record = self.records[trial.key]
        metrics = {"iterations": float(curve[-1].iteration), "seconds": seconds}
        record.curve(curve)
        record.prune(metrics, {"mcalc.stop_reason": "pruned"})
        self._end(Outcome(trial.name, trial.key, "pruned", record.run_id, metrics))
        console.print(f"  {trial.name}: pruned at iteration {curve[-1].iteration}")

    def _end(self, outcome: Outcome) -> None:
        """Told as soon as it is so: a kill later in the run must not touch it."""
        self.records.pop(outcome.key, None)
        self.outcomes.append(outcome)
        self.watch.ended(outcome)

    def _close_open(
        self, error: str, trace: str, *, killed: bool = False, retry: bool = True
    ) -> None:
        """Every trial without an outcome has failed, whether or not its record was open yet."""
        ended = {outcome.key for outcome in self.outcomes}
        for trial in self.trials:
            if trial.key in ended:
                continue
            record = self.records.get(trial.key)
            run_id = record.run_id if record else None
            if record:
                record.fail(error, trace, killed=killed)
            if not killed:
                self._end(Outcome(trial.name, trial.key, "failed", run_id, {}, error, retry))


def validation_metrics(result: TrialResult) -> dict[str, float]:
    """What the reported network reached on the side that stops training."""
    for point in result.curve:
        if point.iteration == result.reported_iteration:
            return {
                f"reported_{name}": getattr(point, name)
                for name in ("val_loss", "val_accuracy", "val_auc")
            }
    return {}


_FULL = (
    "disk is full",
    "disk I/O error",
    "No space left",
    "File too large",
    "file write failed",
    "fail at inline_container.cc",
)
"""What SQLite, the system and torch's writer say, where no error number comes through."""


def full_disk(config: Config) -> FullDiskError:
    """What to tell a user whose disk is full."""
    return FullDiskError(
        f"no room is left to record in {config.tracking.dir}: what is finished is kept; make room "
        "and give the same command again"
    )


@contextmanager
def full_disk_said(config: Config) -> Iterator[None]:
    """Turn whatever a full disk raises inside, in whichever library, into FullDiskError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise full_disk(config) from error
        raise


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that there is no room to write."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(words in str(error) for words in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
