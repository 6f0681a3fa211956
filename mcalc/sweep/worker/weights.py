"""The pretrained weights of a plan, on this machine before anything is recorded."""

from __future__ import annotations

from mcalc.importing import large_imports
from mcalc.sweep.planning import Compose, Plan, backbones_of
from mcalc.sweep.store import SweepStudy
from mcalc.sweep.worker.context import is_done


def have_weights(plan: Plan, compose: Compose, study: SweepStudy | None) -> None:
    """Download weights that are not here yet, as trials would, if any trial is left to run.

    `study`: of the plan's sweep, where there is one. Raises UserError where they cannot be had.
    """
    newest = study.newest() if study else {}
    if not plan.search and all(is_done(newest.get(trial.key)) for trial in plan.trials):
        return
    backbones = [each for each in backbones_of(plan, compose) if each.weights == "imagenet"]
    if not backbones:
        return
    # late: PyTorch
    with large_imports():
        from mcalc.models.backbones import require_weights

    for backbone in backbones:
        require_weights(backbone)
