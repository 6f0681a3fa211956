"""One trial, or the trials of one trajectory, from data to record."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from mcalc.allocator import give_back_memory
from mcalc.config import Config, TrialSpec, flatten
from mcalc.data.datamodule import CropData
from mcalc.data.ready import OpenData, ReadyData, make_ready, open_data
from mcalc.errors import UserError
from mcalc.keys import trajectory_key, trial_key
from mcalc.models.backbones import build_classifier
from mcalc.models.classifier import Classifier
from mcalc.progress import TrainingProgress, counting
from mcalc.provenance import git_revision, hardware, versions
from mcalc.recording import config_yaml, final_metrics, json_tag, write_artifacts
from mcalc.results import CurvePoint, Outcome, TrialResult
from mcalc.tracking import Tracker, TrialRecord
from mcalc.trajectory import Observer, Trial, Weights, run_trajectory

# no markup: names and errors may hold brackets
console = Console(highlight=False, soft_wrap=True, markup=False)


def trial_name(config: Config) -> str:
    """The name given, or one made from backbone and head rates."""
    head = f"{config.head.weight_lr:g}-{config.head.bias_lr:g}-{config.head.weight_l2:g}"
    return config.name or f"{config.backbone.name}-{head}-seed{config.seed}"


def run(config: Config) -> list[Outcome]:
    """Run one trial, or the trials of `config.job`, which differ in patience alone.

    A single trial that is finished already is not run again, unless `rerun`. An error of a trial is
    recorded with it and comes back in its outcome; Ctrl-C closes the record and goes through.

    Raises UserError where nothing can be run at all: the data cannot be opened, the record cannot
    be written.
    """
    opened = open_data(config.data)
    trials = _trials(config, opened.fingerprint)
    tracker = Tracker(Path(config.tracking.dir), config.tracking.experiment)
    if not config.job.trials and not config.rerun:
        done = tracker.finished(trials[0].key)
        if done:
            console.print(
                f"{trials[0].name} is finished already (run {done.run_id}); rerun=true runs it anew"
            )
            return [replace(done, name=trials[0].name, state="skipped")]
    return _Recording(config, opened, trials, tracker).run()


def _trials(config: Config, fingerprint: str) -> list[Trial]:
    specs = config.job.trials or [TrialSpec(trial_name(config), config.stopping.patience)]
    trials = []
    for spec in specs:
        own = replace(config, stopping=replace(config.stopping, patience=spec.patience))
        trials.append(Trial(spec.name, trial_key(own, fingerprint), spec.patience))
    return trials


class _Recording:
    """Runs a trajectory with a record open for each of its trials."""

    def __init__(
        self, config: Config, opened: OpenData, trials: Sequence[Trial], tracker: Tracker
    ) -> None:
        self.config = config
        self.opened = opened
        self.trials = trials
        self.tracker = tracker
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
        except UserError as error:
            self._close_open(str(error), "")
        except Exception as error:
            # whatever a trial fails of, it is recorded, and the other trials of a sweep go on
            self._close_open(f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            give_back_memory()
        return self.outcomes

    def _open_record(self, trial: Trial) -> TrialRecord:
        own = replace(
            self.config,
            name=trial.name,
            stopping=replace(self.config.stopping, patience=trial.patience),
        )
        params = {k: v for k, v in flatten(own).items() if not k.startswith("job.")}
        tags = {
            "mcalc.trajectory": trajectory_key(own, self.opened.fingerprint),
            "mcalc.fingerprint": self.opened.fingerprint,
            "mcalc.protocol": own.protocol.name.value,
            "mcalc.versions": json_tag(versions()),
            "mcalc.git": git_revision(),
            **hardware(own.trainer),
        }
        if own.job.sweep:
            tags["mcalc.sweep_id"] = own.job.sweep
        record = self.tracker.open_trial(trial.name, trial.key, params, tags, own.job.parent)
        record.text(config_yaml(own), "config.yaml")
        return record

    def _train(self) -> None:
        config = self.config
        built = build_classifier(config.backbone, config.seed)
        with counting(console, "preparing crops") as progress:
            ready = make_ready(self.opened, config, built.contract.size, progress)
        notes = (*built.warnings, *ready.warnings)
        title = ", ".join(trial.name for trial in self.trials)
        console.print(f"{title}: {ready.description}; weights {built.weights_origin}")
        for note in notes:
            console.print(f"  warning: {note}", style="yellow")
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
        bar = TrainingProgress(console, title, total)

        def point(point: CurvePoint, still_open: Sequence[Trial]) -> None:
            bar.show(point)
            for trial in still_open:
                self.records[trial.key].point(point)

        def finished(result: TrialResult, weights: Weights) -> None:
            self._finish(result, weights, ready, built.weights_origin, notes)

        run_trajectory(
            Classifier(built, config.backbone, config.head, config.trainer),
            data,
            self.trials,
            config.trainer,
            config.stopping,
            config.seed,
            Observer(point=point, finished=finished, callbacks=[bar]),
        )

    def _finish(
        self,
        result: TrialResult,
        weights: Weights,
        ready: ReadyData,
        origin: str,
        notes: Sequence[str],
    ) -> None:
        record = self.records.pop(result.key)
        metrics = final_metrics(result, ready)
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
        self.outcomes.append(Outcome(result.name, result.key, "finished", record.run_id, metrics))
        console.print(
            f"  {result.name}: accuracy {metrics['accuracy']:.4f} "
            f"[{metrics['accuracy_low']:.3f}, {metrics['accuracy_high']:.3f}], "
            f"AUC {metrics['auc']:.3f} [{metrics['auc_low']:.3f}, {metrics['auc_high']:.3f}] "
            f"on {len(result.predictions.labels)} lesions; stopped at iteration "
            f"{result.iterations} ({result.stop_reason}) after {result.seconds:.0f} s",
        )

    def _close_open(self, error: str, trace: str, *, killed: bool = False) -> None:
        """Every trial without an outcome has failed, whether or not its record was open yet."""
        ended = {outcome.key for outcome in self.outcomes}
        for trial in self.trials:
            if trial.key in ended:
                continue
            record = self.records.pop(trial.key, None)
            if record:
                record.fail(error, trace, killed=killed)
            run_id = record.run_id if record else None
            self.outcomes.append(Outcome(trial.name, trial.key, "failed", run_id, {}, error))
