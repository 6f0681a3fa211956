"""One trial, as the command line gives it.

What can be wrong with it is looked at first, and answered before anything heavy is imported:
Lightning and all that it brings along take seconds.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from mcalc.config import Accelerator, Config, plan_trial
from mcalc.data import index_data, split_of
from mcalc.data.loading import check_trainable
from mcalc.importing import large_imports
from mcalc.models import weight_path
from mcalc.results import Outcome
from mcalc.training import refuse_precision, resolved, uses_gpu
from mcalc.trials.places import open_tracker, say_where
from mcalc.trials.turns import finish

_log = logging.getLogger(__name__)


def trial_name(config: Config) -> str:
    """The name given, or one made from backbone and head rates."""
    head = f"{config.head.weight_lr:g}-{config.head.bias_lr:g}-{config.head.weight_l2:g}"
    return config.name or f"{config.backbone.name}-{head}-seed{config.seed}"


def run(config: Config) -> list[Outcome]:
    """Run one trial. One that is finished already is not run again, unless `rerun`.

    An error of the trial is recorded with it and returned in its outcome. Ctrl-C closes the record
    and is raised again.

    Raises UserError where nothing can be run at all: the data cannot be opened or split as the
    settings say, weights or a GPU are not there, or the record cannot be written.
    """
    config = resolved(config)
    _check_settings(config)
    data = index_data(config.data)
    # a split file may lack a lesion whose image turns out to be unreadable: training knows
    if config.protocol.split_file is None:
        check_trainable(split_of(data.index, config).split, config.augment, config.trainer)
    tracker = open_tracker(config)
    trial = plan_trial(trial_name(config), config, data.fingerprint)
    done = None if config.rerun else tracker.finished(trial.key)
    if done:
        _log.info(f"{trial.name} is finished already (run {done.run_id}); rerun=true runs it anew")
        say_where(config, done.run_id)
        return [replace(done, name=trial.name, state="skipped")]
    # late: PyTorch, torchvision and Lightning
    with large_imports():
        from mcalc.models.backbones import require_weights
        from mcalc.training import TrainingProgress
        from mcalc.trials.runner import run_trials

    require_weights(config.backbone)
    outcomes = finish(run_trials([trial], data, tracker, [TrainingProgress(trial.name)]))
    say_where(config, outcomes[0].run_id)
    return outcomes


def _check_settings(config: Config) -> None:
    """Raise UserError for what training would fail of, as far as settings and files show it."""
    weight_path(config.backbone.weights, config.backbone.name)
    if config.backbone.freeze not in ("0", "all"):
        with large_imports():  # late: PyTorch
            from mcalc.models import find_backbone
            from mcalc.models.stages import Stages

        Stages(find_backbone(config.backbone.name).stages, config.backbone)
    if config.trainer.accelerator is Accelerator.gpu:
        uses_gpu(config.trainer)
    refuse_precision(config.trainer)
    if config.metrics:
        # late: scipy, as most trials name none
        from mcalc.evaluation.scores import check_metrics

        check_metrics(config.metrics)
