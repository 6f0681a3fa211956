"""Which sweeps a report is of, and their trials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mcalc.config import COMMANDS, Line
from mcalc.errors import UserError
from mcalc.paper import NETWORKS, PAPER_TRIALS
from mcalc.report.configurations import base_name
from mcalc.report.networks import of_one_network
from mcalc.report.rows import Record
from mcalc.results import RecordedTrial
from mcalc.secret_text import argument_shown
from mcalc.tracking import SINGLE_TRIALS, read_trials, recorded_sweeps, unfinished_trials

_PAPER_ROWS = {row.name for network in NETWORKS for row in PAPER_TRIALS[network]}


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A sweep, or the single trials, as recorded."""

    name: str
    trials: tuple[RecordedTrial, ...]
    """Finished ones with artifacts, by name."""
    unfinished: tuple[RecordedTrial, ...]
    """Those without a result."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a report is of."""

    paper: Record
    """Network -> trials of the paper's tables; empty where no row of the paper is recorded."""
    lost: tuple[RecordedTrial, ...] = ()
    """Trials of those sweeps that have no result."""
    others: tuple[SweepRecord, ...] = field(default=())
    """Sweeps that have a page of their own."""


def read_recorded(line: Line) -> Recorded:
    """The sweep that a line names; without one all that is recorded.

    Raises UserError where there is nothing, or not what is named.
    """
    independent = line.words["intervals"] == "independent"
    found = _named(line) if line.config().sweep else _all(line)
    return _unclustered(found) if independent else found


def _named(line: Line) -> Recorded:
    config = line.config()
    name = config.sweep
    assert name is not None
    one = _sweep(line, name)
    if not one.trials and not one.unfinished:
        raise _nothing(line, [name])
    sweeps = dict.fromkeys(NETWORKS, name)
    if any(base_name(trial) in _PAPER_ROWS for trial in one.trials):
        record = {network: [*of_one_network(network, one.trials, sweeps)] for network in NETWORKS}
        if any(record.values()):
            return Recorded(record, one.unfinished)
    return Recorded({}, (), (one,))


def _all(line: Line) -> Recorded:
    tracking = line.config().tracking
    sweeps = {network: line.words[network] for network in NETWORKS}
    read = {name: _sweep(line, name) for name in {*sweeps.values()}}
    record: Mapping[str, list[RecordedTrial]] = {
        network: of_one_network(network, read[name].trials, sweeps)
        for network, name in sweeps.items()
    }
    asked = [name for network, name in sweeps.items() if name != _default(network)]
    if asked and not any(record.values()):
        raise _nothing(line, [*dict.fromkeys(sweeps.values())])
    # a network that was asked for with `sweep=` alone has rows; so have the paper's names
    papers = any(base_name(t) in _PAPER_ROWS for trials in record.values() for t in trials)
    if not papers and not asked:
        record = {}
    shown = set(sweeps.values()) if record else set()
    names = [name for name in recorded_sweeps(tracking) if name not in shown]
    others = [_sweep(line, name) for name in names]
    others = [each for each in others if each.trials or each.unfinished]
    if not any(record.values()) and not others:
        raise _nothing(line, [*dict.fromkeys(sweeps.values())])
    lost = tuple(
        trial
        for name in dict.fromkeys(sweeps.values())
        if record
        for trial in read[name].unfinished
    )
    return Recorded(record, lost, tuple(others))


def _default(network: str) -> object:
    return COMMANDS["report"].words[network].default


def _sweep(line: Line, name: str) -> SweepRecord:
    tracking = line.config().tracking
    title = None if name == SINGLE_TRIALS else name
    # by name, as trials that share a training run are recorded in the order in which they stop
    trials = sorted(read_trials(tracking, sweep=title), key=_in_order)
    left = sorted(unfinished_trials(tracking, title), key=_in_order)
    return SweepRecord(name, tuple(trials), tuple(left))


def _nothing(line: Line, names: list[str]) -> UserError:
    tracking = line.config().tracking
    place = f"tracking.uri={tracking.uri}" if tracking.uri else f"tracking.dir={tracking.dir}"
    asked = " or ".join(repr(name) for name in names)
    known = recorded_sweeps(tracking)
    has = f" (it has {', '.join(known[:5])}{' …' if len(known) > 5 else ''})" if known else ""
    return UserError(
        f"no trial of sweep {asked} is recorded under {argument_shown(place)}{has}: run `make "
        "tables`, or `python -m mcalc.train -m sweep=alexnet,googlenet`, first"
    )


def _in_order(trial: RecordedTrial) -> list[tuple[int, str]]:
    """Sorts AL10 after AL9: runs of digits count as numbers."""
    parts = re.split(r"(\d+)", trial.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _unclustered(found: Recorded) -> Recorded:
    """The same, as if no two lesions were of one patient."""
    return Recorded(
        {network: [*map(_independent, trials)] for network, trials in found.paper.items()},
        found.lost,
        tuple(replace(each, trials=tuple(map(_independent, each.trials))) for each in found.others),
    )


def _independent(trial: RecordedTrial) -> RecordedTrial:
    """The trial as if no two lesions were of one patient."""
    assert trial.artifacts is not None  # the report reads them
    kept = trial.artifacts
    validation = kept.validation and replace(kept.validation, patients=())
    predictions = replace(kept.predictions, patients=())
    return replace(trial, artifacts=replace(kept, predictions=predictions, validation=validation))
