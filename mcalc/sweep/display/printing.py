"""What a sweep prints: its plan, what a dry run adds to it, and its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from mcalc.config import DataConfig, PlannedTrial
from mcalc.console import console
from mcalc.data import IndexedData
from mcalc.results import Outcome
from mcalc.sweep.planning import Plan, label
from mcalc.sweep.store import DONE, SweepStudy, check_same_definition, why_new


def dry_run(
    plan: Plan, study: SweepStudy | None, data: Callable[[DataConfig], IndexedData]
) -> None:
    """What a plan would do, how long it takes at most and what it leaves on the disk."""
    # late, as only this needs a network to measure with
    from mcalc.sweep.display.estimate import estimate, format_bytes, format_time

    if study is not None:
        check_same_definition(plan, study.facts(), study.attempts())
    print_plan(plan, study)
    newest = study.newest() if study else {}
    runs = [
        tuple(t for t in run if t.key not in newest or newest[t.key].state not in DONE)
        for run in plan.trajectories()
    ]
    runs = [run for run in runs if run]
    if plan.search:
        first: tuple[PlannedTrial, ...] = (PlannedTrial("", "", "", plan.base, plan.fingerprint),)
        done = len(newest)
        runs = [first] * max(0, (plan.search.trials or 0) - done) * max(1, len(plan.search.seeds))
        if plan.search.hours:
            console.print(f"the budget is {plan.search.hours:g} h of training")
    if not runs:
        if not plan.search or plan.search.trials:
            console.print("nothing to run")
        return
    found = estimate(runs, data)
    how = (
        "from this machine's record"
        if found.recorded == found.runs
        else "from the processor time of a few steps, measured now"
        if not found.recorded
        else f"{found.recorded} of {found.runs} runs from this machine's record"
    )
    console.print(
        f"at most {found.iterations} iterations, {format_time(found.seconds)} one after another "
        f"({how}; patience and pruning may "
        f"end runs sooner); {format_bytes(found.disk)} of disk, and up to "
        f"{format_bytes(found.checkpoint)} for a checkpoint while a run is under way"
    )


def print_plan(plan: Plan, study: SweepStudy | None) -> None:
    """The trials, the training runs they share, and and the state of each."""
    if plan.search:
        _print_search(plan, study)
        return
    attempts = study.attempts() if study else []
    newest = {a.user_attrs.get("key"): a for a in attempts}
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
        f"{plan.title} ({plan.sweep}): {len(plan.trials)} trials in {len(runs)} training runs; "
        f"{finished} finished, {waiting} to run{also}"
    )
    for number, run in enumerate(runs, start=1):
        names = " | ".join(f"{trial.name} ({words[trial.key]})" for trial in run)
        shared = " share one run" if len(run) > 1 else ""
        console.print(f"  run {number}: {names}{shared}")


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
        case _:
            return f"failed before: {attempt.user_attrs.get('error', 'no reason recorded')[:100]}"


def _print_search(plan: Plan, study: SweepStudy | None) -> None:
    search = plan.search
    assert search is not None
    attempts = study.attempts() if study else []
    budget = [
        *([f"{search.trials} configurations"] if search.trials else []),
        *([f"{search.hours:g} h of training"] if search.hours else []),
    ]
    seeds = f", each with seeds {', '.join(map(str, search.seeds))}" if search.seeds else ""
    console.print(
        f"{plan.title} ({plan.sweep}): a search by {label(search.sampler)} for the best "
        f"{search.objective}, pruner {label(search.pruner)}, "
        f"up to {' or '.join(budget)}{seeds}; {len(attempts)} tried"
    )
    for key, entry in search.definition()["space"].items():
        given = ", ".join(f"{name} {value}" for name, value in entry.items() if value)
        console.print(f"  {key}: {given}")


def print_outcomes(plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """A table of what became of each trial, in the plan's order."""
    # the sweep's own name is what `sweep show`, `pause` and `remove` take
    title = plan.title if plan.sweep == plan.title else f"{plan.title} ({plan.sweep})"
    table = Table("trial", "state", "accuracy", "AUC", title=title, title_justify="left")
    order = {trial.key: place for place, trial in enumerate(plan.trials)}
    for outcome in sorted(outcomes, key=lambda o: order.get(o.key, 0)):
        scores = [outcome.metrics.get(name) for name in ("accuracy", "auc")]
        cells = ["—" if score is None else f"{score:.4f}" for score in scores]
        table.add_row(outcome.name, outcome.state, *cells)
    console.print(table)
