"""Which networks of the record a user means: names, ids, or the best of a sweep."""

from __future__ import annotations

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.evaluation import auc, can_decide
from mcalc.results import RecordedTrial
from mcalc.tracking import (
    MODEL_ADDRESS,
    SeveralTrialsError,
    find_trial,
    read_trials,
    trial_of_model,
)


def chosen_runs(tracking: TrackingConfig, words: str, best: str | None) -> list[str]:
    """What `find_trial` takes, for each network.

    Args:
        tracking: the record.
        words: names or ids divided by commas; with `best` the title of a sweep.
        best: how many of the sweep to take, those of the highest validation AUC; None: all named.

    Raises UserError for a number that is none, and where nothing ranks the sweep's trials.
    """
    names = _names(tracking, words)
    if best is None:
        return [
            trial_of_model(tracking, name) if name.startswith(MODEL_ADDRESS) else name
            for name in names
        ]
    if not best.isdecimal() or int(best) < 1:
        raise UserError(f"best={best}: expected a whole number from 1 on")
    if len(names) != 1:
        raise UserError(f"best={best} takes networks of one sweep: name it alone, as run=alexnet")
    trials = read_trials(tracking, names[0])
    if not trials:
        raise UserError(
            f"run={names[0]} best={best}: no finished trial is recorded in a sweep of that name "
            "(`python -m mcalc.sweep list` shows sweeps)"
        )
    return [trial.run_id for trial in _ranked(trials, names[0])[: int(best)]]


def _names(tracking: TrackingConfig, words: str) -> list[str]:
    """The names that commas divide; a trial's own name may hold one, as `seed=0, head.l2=1`."""
    if "," in words:
        try:
            return [find_trial(tracking, words, "run").run_id]
        except SeveralTrialsError:
            raise
        except UserError:
            pass  # no trial has it for a name
    return [word.strip() for word in words.split(",") if word.strip()]


def _ranked(trials: list[RecordedTrial], sweep: str) -> list[RecordedTrial]:
    """By validation AUC, the highest first; trials that are one network stand once."""
    judged = [trial for trial in trials if can_decide(trial.validation)]
    sets = {trial.validation.ids for trial in judged if trial.validation}
    if len(judged) < len(trials) or len(sets) != 1:
        raise UserError(
            f"run={sweep} best=: nothing ranks these {len(trials)} trials, as they were not all "
            "validated on the same lesions apart from those reported (protocol.validation=0.15 "
            "protocol.seed=0 does that); name the networks, as run=AL1,AL2"
        )
    areas = {}
    for trial in judged:
        assert trial.validation is not None  # `can_decide`
        areas[trial.run_id] = auc(trial.validation.labels, trial.validation.probabilities)
    ranked = sorted(judged, key=lambda trial: -areas[trial.run_id])
    # trials that differ in patience alone may be one network
    distinct = {trial.predictions.probabilities.tobytes(): trial for trial in reversed(ranked)}
    return [trial for trial in ranked if trial in list(distinct.values())]
