"""What a sweep prints: its plan, what a dry run adds to it, and its results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from mcalc.atomic_write import check_record_folder
from mcalc.config import (
    Config,
    DataConfig,
    PlannedTrial,
    after_training,
    entries,
    place_of,
    short_keys,
    short_name,
    short_title,
)
from mcalc.console import console, format_time
from mcalc.data import IndexedData
from mcalc.errors import UserError
from mcalc.models import weight_path
from mcalc.sweep.display.estimate import Estimate, Estimator, format_bytes, most_of
from mcalc.sweep.display.results import results_of, results_table, settings_of, varied_keys
from mcalc.sweep.display.step_times import MeasuredStep
from mcalc.sweep.planning import Compose, Plan, Search, backbones_of, corners, label
from mcalc.sweep.store import DONE, OUTDATED, SweepStudy, check_same_definition, why_new
from mcalc.training import resolved

_log = logging.getLogger(__name__)
_NOW = timedelta(minutes=1)
"""A plan that takes longer than this to make says when its steps were measured."""


def dry_run(
    plan: Plan,
    compose: Compose,
    study: SweepStudy | None,
    data: Callable[[DataConfig], IndexedData],
    measured: Callable[[Config], MeasuredStep],
) -> None:
    """What a plan would do, how long it takes at most and what it leaves on the disk.

    `measured`: measures a training step of a config, where its speed is not known.

    Raises UserError at the end where no server has the weights that it names, and where no record
    can be written.
    """
    if study is not None:
        check_same_definition(plan, study.facts(), study.attempts())
    print_plan(plan, study)
    _print_data(plan, data)
    _print_settings(plan)
    estimator = Estimator(data, measured)
    if plan.search:
        found, unknown = _of_search(plan, plan.search, compose, study, estimator)
    else:
        found, unknown = _of_trials(plan, study, estimator), ()
    if found is None:
        if not plan.search or plan.search.trials:
            console.print("nothing to run")
        return
    _print_estimate(found, "about" if unknown else "at most")
    if unknown:
        console.print(f"what is searched may make it more: {', '.join(unknown)}")
    check_record_folder(Path(plan.base.tracking.dir))
    if found.recorded < found.runs:  # else networks of this kind have trained here
        _refuse_missing_weights(plan, compose, found.weights_known)
    console.print(
        f"nothing was run; without dry_run=true the same command runs it, and records it in "
        f"{place_of(plan.base.tracking)}"
    )


def _of_trials(plan: Plan, study: SweepStudy | None, estimator: Estimator) -> Estimate | None:
    """What the trials of a plan take that are not done; None where all are."""
    # those that are done run again all the same with rerun=true
    newest = study.newest() if study and not plan.base.rerun else {}
    runs = [
        tuple(t for t in run if t.key not in newest or newest[t.key].state not in DONE)
        for run in plan.trajectories()
    ]
    runs = [run for run in runs if run]
    return estimator.of(runs) if runs else None


def _of_search(
    plan: Plan, search: Search, compose: Compose, study: SweepStudy | None, estimator: Estimator
) -> tuple[Estimate | None, Sequence[str]]:
    """What is left of a search takes at most, and the searched settings that may make it more.

    None where its trials are used up, or only its hours are counted.
    """
    if search.hours:
        console.print(f"the budget is {search.hours:g} h of training")
    # what is under way, or was cut off, is run to its end, or drawn anew
    done = study.count() - len(study.running()) if study else 0
    left = max(0, (search.trials or 0) - done)
    if not left:
        return None, ()
    space = corners(plan, compose, resolved)
    estimates, refused = [], None
    for config in space.configs:
        seeds = search.seeds or (config.seed,)
        configs = [replace(config, seed=seed) for seed in seeds] * left
        runs = [(PlannedTrial("", "", "", each, plan.fingerprint),) for each in configs]
        try:
            estimates.append(estimator.of(runs, features_differ=space.features_differ))
        except UserError as error:  # values that do not go together: such a trial fails
            refused = error
    if refused and not estimates:
        raise refused
    return most_of(estimates), space.unknown


def _print_estimate(found: Estimate, bound: str) -> None:
    """The plan's iterations, time and disk, and which networks they leave out.

    `bound`: `at most` or `about`.
    """
    for name, why in found.failed.items():
        _log.warning(
            f"  warning: a training step of backbone.name={name} failed ({why}): the plan cannot "
            "say how long its runs take, nor how much disk, and its trials may fail as well"
        )
    if found.unmeasured == found.runs:
        console.print(f"{bound} {found.iterations} iterations")
        return
    without = f"; without {', '.join(found.failed)}" if found.failed else ","
    console.print(
        f"{bound} {found.iterations} iterations{without} {format_time(found.seconds)} one after "
        f"another ({_origin(found)}; patience and pruning may "
        f"end runs sooner); {format_bytes(found.disk)} of disk, {_features(found)}and up to "
        f"{format_bytes(found.checkpoint)} for a checkpoint while a run is under way"
    )


def _features(found: Estimate) -> str:
    """What the cache grows by, where anything is frozen."""
    if not found.features:
        return ""
    return f"up to {format_bytes(found.features)} for features in the cache, "


def _origin(found: Estimate) -> str:
    """Where an estimate's times come from."""
    runs = found.runs - found.unmeasured
    if found.recorded == runs:
        return "from this machine's record"
    assert found.measured is not None
    now = datetime.now().astimezone() - found.measured < _NOW
    when = "now" if now else f"{found.measured:%Y-%m-%d %H:%M}"
    if not found.alone:
        when += " beside other work, which makes it less exact"
    if found.recorded:
        return (
            f"{found.recorded} of {runs} runs from this machine's record, the others from "
            f"a few steps, measured {when}"
        )
    return f"from a few steps, measured {when}"


def _refuse_missing_weights(plan: Plan, compose: Compose, known: Collection[str]) -> None:
    """Raise UserError where weights can be had from nowhere; no server is asked.

    `known`: backbones whose ImageNet weights are known to be available.
    """
    for backbone in backbones_of(plan, compose):
        named = weight_path(backbone.weights, backbone.name) or backbone.weights == "none"
        if not named and backbone.name not in known:
            # late: PyTorch
            from mcalc.models.backbones import require_weights

            require_weights(backbone, ask_server=False)


def _print_data(plan: Plan, data: Callable[[DataConfig], IndexedData]) -> None:
    """What is looked at: phantoms, where nobody named anything else."""
    configs = [plan.base] if plan.search else [trial.config for trial in plan.trials]
    # rows that do not vary the data have one section in common, of a hundred thousand too
    sections = {id(config.data): config.data for config in configs}
    distinct = {repr(settings): settings for settings in sections.values()}
    lines = (data(settings).described(settings) for settings in distinct.values())
    for line in dict.fromkeys(lines):
        console.print(f"data: {line}")


def _print_settings(plan: Plan) -> None:
    """What all trials have that is not the default, and of each what sets it apart."""
    known = entries()
    common = {
        key: value
        for key, value in plan.shared.items()
        if key not in known or not known[key].is_default(value)
    }
    if common:
        console.print(f"all trials: {', '.join(f'{key}={v}' for key, v in common.items())}")
    trials = [(trial.name, settings_of(trial)) for trial in plan.trials]
    keys = varied_keys(trials)
    short = short_keys(keys)
    for name, settings in trials if keys else ():
        given = ", ".join(f"{short[key]}={settings[key]}" for key in keys if key in settings)
        console.print(f"  {short_name(name)}: {given}")


def print_plan(plan: Plan, study: SweepStudy | None) -> None:
    """The trials, the training runs they share, and the state of each."""
    if plan.search:
        _print_search(plan, study)
        return
    attempts = study.attempts() if study else []
    newest = {str(a.user_attrs.get("key")): a for a in attempts}
    reasons = why_new(plan, attempts)
    runs = plan.trajectories()
    words = {
        trial.key: _word(newest.get(trial.key), reasons.get(trial.key)) for trial in plan.trials
    }
    if plan.base.rerun:
        words = dict.fromkeys(words, "again, as rerun=true says")
    finished = sum(word in ("finished", "pruned") for word in words.values())
    failed = sum(word.startswith("failed before") for word in words.values())
    waiting = len(words) - finished
    also = f" ({failed} failed before)" if failed else ""
    console.print(
        f"{_titled(plan)}: {len(plan.trials)} trials in {len(runs)} training runs; "
        f"{finished} finished, {waiting} to run{also}"
    )
    given = {"trials": plan.base.budget.trials, "hours": plan.base.budget.hours}
    if unused := [f"budget.{name}={value:g}" for name, value in given.items() if value is not None]:
        _log.warning(
            f"  warning: {', '.join(unused)} limits a search alone: all {len(plan.trials)} trials "
            "of this sweep run"
        )
    for number, run in enumerate(runs, start=1):
        names = " + ".join(
            f"{short_name(trial.name)} ({words[trial.key]}{_before(trial, newest)})"
            for trial in run
        )
        shared = " share one run" if len(run) > 1 else ""
        console.print(f"  run {number}: {names}{shared}")


def _before(trial: PlannedTrial, newest: Mapping[str, FrozenTrial]) -> str:
    """What a recorded trial is called until the command runs, where its row was renamed."""
    recorded = newest[trial.key].user_attrs.get("name") if trial.key in newest else trial.name
    return "" if recorded == trial.name else f", recorded as {short_name(str(recorded))}"


def _word(attempt: FrozenTrial | None, reason: str | None) -> str:
    if attempt is None:
        return reason or "new"
    match attempt.state:
        case TrialState.COMPLETE:
            return "finished"
        case TrialState.PRUNED:
            return "pruned"
        case TrialState.RUNNING:
            return "under way, or cut off"
        case _ if attempt.user_attrs.get("error") == OUTDATED:
            return "cut off before"
        case _:
            return f"failed before: {attempt.user_attrs.get('error', 'no reason recorded')[:100]}"


def _print_search(plan: Plan, study: SweepStudy | None) -> None:
    search = plan.search
    assert search is not None
    running = len(study.running()) if study else 0
    tried = study.count() - running if study else 0
    budget = [
        *([f"{search.trials} configurations"] if search.trials else []),
        *([f"{search.hours:g} h of training"] if search.hours else []),
    ]
    seeds = f", each with seeds {', '.join(map(str, search.seeds))}" if search.seeds else ""
    console.print(
        f"{_titled(plan)}: a search by {label(search.sampler)} for the best "
        f"{search.objective}, pruner {label(search.pruner)}, "
        f"up to {' or '.join(budget)}{seeds}; {tried} tried"
        f"{f', {running} under way or cut off' if running else ''}"
    )
    for key, entry in search.definition()["space"].items():
        given = ", ".join(f"{name} {value}" for name, value in entry.items() if value)
        console.print(f"  {key}: {given}")


def print_results(plan: Plan, study: SweepStudy) -> None:
    """What came out of each trial, where the record is, and what to do next."""
    results = results_of(plan, study)
    console.print(results_table(results, console, f"{_titled(plan)}, {results.order}"))
    tracking = plan.base.tracking
    console.print(
        f"recorded in {place_of(tracking)} as sweep {plan.sweep}\n{after_training(tracking)}"
    )


def _titled(plan: Plan) -> str:
    """The plan's title, and the sweep's own name, which `sweep show` and others take."""
    title = short_title(plan.title)
    return title if plan.sweep == title else f"{title} ({plan.sweep})"
