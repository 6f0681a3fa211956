"""The trials of one training run, from data to record."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mcalc.allocator import free_networks
from mcalc.config import PlannedTrial
from mcalc.console import console, counting
from mcalc.data import IndexedData, PreparedCache
from mcalc.data.loading import CropData
from mcalc.data.splits import class_count
from mcalc.errors import CancelledError, CutOffError, StoppedError, UserError
from mcalc.models import Classifier, LastWeights
from mcalc.tracking import Tracker
from mcalc.training import (
    CheckpointFile,
    Checkpointing,
    DivergedError,
    FrozenNetworks,
    Listener,
    Placement,
    as_begun,
    checkpoint_path,
    cycle_of,
    run_trajectory,
)
from mcalc.trials.disk_full import is_disk_full, raise_disk_full
from mcalc.trials.recorder import Recorder
from mcalc.trials.sweep_record import SweepRecord
from mcalc.trials.turns import Waits, Work

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """What trials share that follow one another in a process."""

    networks: FrozenNetworks = field(default_factory=FrozenNetworks)
    weights: LastWeights = field(default_factory=LastWeights)
    prepared: PreparedCache = field(default_factory=PreparedCache)
    said: set[tuple[str | None, str]] = field(default_factory=set)
    """What was printed, by sweep."""


@cache
def of_this_process() -> Shared:
    """What the trials of this process share: of several jobs too that a launcher gives it."""
    return Shared()


def run_trials(
    trials: Sequence[PlannedTrial],
    data: IndexedData,
    tracker: Tracker,
    listeners: Sequence[Listener] = (),
    within: SweepRecord | None = None,
    placement: Placement | None = None,
    checkpoint: CheckpointFile | None = None,
) -> Work:
    """Run the trials of one training run and record them; an outcome for each.

    It gives its caller a turn once it has trained, while the record is written to its end.

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
    own = checkpoint_path(Path(trials[0].config.tracking.dir), trials[0].trajectory)
    file = checkpoint or CheckpointFile(own)
    said = of_this_process().said
    recorder = Recorder(trials, tracker, listeners, within or SweepRecord(), placement, said)
    with raise_disk_full(trials[0].config):
        try:
            recorder.open_runs()
            with recorder.settled():
                _train(trials, data, recorder, listeners, placement, file)
                _free_network(trials[0])
                yield Waits.for_record
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
            if recorder.is_complete:
                _remove(file, recorder.title)
            else:
                _free_network(trials[0])
    return recorder.outcomes


def _remove(checkpoint: CheckpointFile, title: str) -> None:
    try:
        checkpoint.remove()
    except OSError as error:
        _log.warning(f"  after {title} was recorded: its checkpoint cannot be removed: {error}")


def _free_network(trial: PlannedTrial) -> None:
    """Free what training leaves, for what is trained next."""
    # a head alone is not worth looking for, which takes as long as its training
    if trial.config.backbone.freeze != "all":
        free_networks()


def _train(
    trials: Sequence[PlannedTrial],
    data: IndexedData,
    recorder: Recorder,
    listeners: Sequence[Listener],
    placement: Placement,
    checkpoint: CheckpointFile,
) -> None:
    """Build the network, prepare the data and train."""
    config, classes = trials[0].config, class_count(trials[0].config.data)
    shared = of_this_process()
    frozen = shared.networks.find(config, classes, recorder.noted)
    built = frozen.built if frozen else shared.weights.build(config.backbone, config.seed, classes)
    with counting(console, "preparing images") as progress:
        prepared = shared.prepared(data, config, built.contract.size, progress)
    recorder.prepared(prepared, built.weights_origin, (*built.warnings, *prepared.warnings))
    images, samples, split = prepared.prepared.images, prepared.samples, prepared.split
    crops = CropData(
        images, samples, split, config.augment, config.trainer, config.seed, cycle_of(config)
    )
    classifier: Classifier | None = None
    if frozen:
        with counting(console, "computing features") as progress:
            begun = as_begun(placement, config.trainer, checkpoint, built.model)
            features = frozen.features(config, crops, begun, progress, recorder.noted)
        if features:
            classifier, crops = frozen.upper(config), features
        else:
            built = shared.weights.build(config.backbone, config.seed, classes)
    classifier = classifier or Classifier(built, config.backbone, config.head, config.trainer)
    checkpointing = Checkpointing(checkpoint, config.tracking.checkpoint_minutes)
    # the recorder last, so that a listener may prevent what it would write
    run_trajectory(classifier, crops, trials, [*listeners, recorder], checkpointing, placement)
