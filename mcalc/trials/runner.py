"""One trial, or the trials of one training run, from data to record."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mcalc.allocator import give_back_memory
from mcalc.config import Config, PlannedTrial, plan_trial
from mcalc.console import console, counting
from mcalc.data import IndexedData, index_data, prepare_data
from mcalc.data.loading import CropData
from mcalc.data.splits import class_count
from mcalc.errors import CancelledError, CutOffError, StoppedError, UserError
from mcalc.models import Classifier, build_classifier
from mcalc.results import Outcome
from mcalc.tracking import Tracker
from mcalc.training import (
    CheckpointFile,
    Checkpointing,
    DivergedError,
    Listener,
    Placement,
    TrainingProgress,
    checkpoint_path,
    run_trajectory,
)
from mcalc.trials.disk_full import is_disk_full, raise_disk_full
from mcalc.trials.recorder import Recorder, SweepRecord

_log = logging.getLogger(__name__)


def trial_name(config: Config) -> str:
    """The name given, or one made from backbone and head rates."""
    head = f"{config.head.weight_lr:g}-{config.head.bias_lr:g}-{config.head.weight_l2:g}"
    return config.name or f"{config.backbone.name}-{head}-seed{config.seed}"


def run(config: Config) -> list[Outcome]:
    """Run one trial. One that is finished already is not run again, unless `rerun`.

    An error of the trial is recorded with it and returned in its outcome. Ctrl-C closes the record
    and is raised again.

    Raises UserError where nothing can be run at all: the data cannot be opened, or the record
    cannot be written.
    """
    data = index_data(config.data)
    tracker = open_tracker(config)
    trial = plan_trial(trial_name(config), config, data.fingerprint)
    done = None if config.rerun else tracker.finished(trial.key)
    if done:
        _log.info(f"{trial.name} is finished already (run {done.run_id}); rerun=true runs it anew")
        return [replace(done, name=trial.name, state="skipped")]
    return run_trials([trial], data, tracker, [TrainingProgress(trial.name)])


def open_tracker(config: Config) -> Tracker:
    """The record that a config names."""
    tracking = config.tracking
    return Tracker(Path(tracking.dir), tracking.experiment, tracking.uri, config.storage_wait)


def run_trials(
    trials: Sequence[PlannedTrial],
    data: IndexedData,
    tracker: Tracker,
    listeners: Sequence[Listener] = (),
    within: SweepRecord | None = None,
    placement: Placement | None = None,
    checkpoint: CheckpointFile | None = None,
) -> list[Outcome]:
    """Run the trials of one training run and record them; an outcome for each.

    Args:
        trials: at least one; they differ in patience alone.
        data: what their configs name.
        tracker: the record.
        listeners: called after the record at each event.
        within: the sweep, and the runs of earlier attempts to resume.
        placement: the part of the machine to use.
        checkpoint: where the training run keeps its state; None for the place that all runs of the
            trajectory share.

    Raises FullDiskError where the record has no space, and CutOffError where another worker has
    taken over or the work was asked to stop. The records then stay open, to be resumed; they are
    closed as interrupted by CancelledError, and where the trials belong to no sweep.
    """
    placement = placement or Placement()
    recorder = Recorder(trials, tracker, listeners, within or SweepRecord(), placement)
    with raise_disk_full(trials[0].config):
        try:
            recorder.open_runs()
            _train(trials, data, recorder, listeners, placement, checkpoint)
        except KeyboardInterrupt:
            recorder.fail_rest("interrupted", killed=True)
            raise
        except CutOffError as error:
            stopped = isinstance(error, StoppedError)
            # one that belongs to no sweep is begun as a new run, from the checkpoint
            if isinstance(error, CancelledError) or (stopped and recorder.within.sweep is None):
                recorder.fail_rest(str(error), killed=True)
            raise
        except UserError as error:
            recorder.fail_rest(str(error), retry=not isinstance(error, DivergedError))
        except Exception as error:
            if is_disk_full(error):
                raise
            # whatever makes a trial fail, it is recorded, and the other trials of a sweep continue
            recorder.fail_rest(f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            give_back_memory()
    return recorder.outcomes


def forget_checkpoint(trial: PlannedTrial) -> None:
    """Remove the checkpoint of a training run all of whose trials are recorded.

    A worker that is killed after it recorded the last one leaves it behind.
    """
    CheckpointFile(checkpoint_path(Path(trial.config.tracking.dir), trial.trajectory)).remove()


def _train(
    trials: Sequence[PlannedTrial],
    data: IndexedData,
    recorder: Recorder,
    listeners: Sequence[Listener],
    placement: Placement,
    checkpoint: CheckpointFile | None,
) -> None:
    """Build the network, prepare the data and train."""
    config = trials[0].config
    built = build_classifier(config.backbone, config.seed, class_count(config.data))
    with counting(console, "preparing images") as progress:
        prepared = prepare_data(data, config, built.contract.size, progress)
    recorder.prepared(prepared, built.weights_origin, (*built.warnings, *prepared.warnings))
    images, samples, split = prepared.prepared.images, prepared.samples, prepared.split
    crops = CropData(images, samples, split, config.augment, config.trainer, config.seed)
    classifier = Classifier(built, config.backbone, config.head, config.trainer)
    shared = CheckpointFile(checkpoint_path(Path(config.tracking.dir), trials[0].trajectory))
    checkpointing = Checkpointing(checkpoint or shared, config.tracking.checkpoint_minutes)
    # the recorder last, so that a listener may prevent what it would write
    run_trajectory(classifier, crops, trials, [*listeners, recorder], checkpointing, placement)
