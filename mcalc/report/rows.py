"""The paper's rows beside what is recorded of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcalc.paper import NETWORKS, PAPER_TRIALS, PaperTrial
from mcalc.report.configurations import Configuration, block_label, configurations
from mcalc.results import RecordedTrial

Record = Mapping[str, Sequence[RecordedTrial]]
"""Network (`alexnet`, `googlenet`) -> its recorded trials; a network may be absent."""


@dataclass(frozen=True, slots=True)
class Row:
    """A trial of the paper, ours, or both side by side."""

    label: str
    """`AL1`; with the number of its seeds and folds where there are several."""
    paper: PaperTrial | None
    """None for a configuration that the paper does not have."""
    trials: tuple[RecordedTrial, ...]
    """Of one configuration; empty for a trial of the paper that has not been run."""

    @property
    def trial(self) -> RecordedTrial | None:
        """The first of the trials."""
        return self.trials[0] if self.trials else None


def match(network: str, trials: Sequence[RecordedTrial]) -> list[Row]:
    """The paper's rows in order, each with what is recorded of it, then all other configurations.

    Trials that differ in seed or fold alone are of one row.
    """
    recorded = configurations(trials)
    names = [each.name for each in recorded]
    rows: list[Row] = []
    for published in PAPER_TRIALS[network]:
        own = [each for each in recorded if each.name == published.name]
        matched = [Row(_label(each, names), published, each.trials) for each in own]
        rows += matched or [Row(published.name, published, ())]
    known = {published.name for published in PAPER_TRIALS[network]}
    rows += [Row(_label(o, names), None, o.trials) for o in recorded if o.name not in known]
    return rows


def single_rows(network: str, trials: Sequence[RecordedTrial]) -> list[Row]:
    """As `match`, with a row for each trial of a configuration: `AL1 (seed 0)`."""
    rows: list[Row] = []
    for row in match(network, trials):
        if len(row.trials) < 2:
            rows.append(row)
            continue
        rows += [
            Row(f"{row.label.split(' (')[0]} ({block_label(trial)})", row.paper, (trial,))
            for trial in row.trials
        ]
    return rows


def trials_of(record: Record) -> list[RecordedTrial]:
    """Every recorded trial, network by network."""
    return [trial for network in NETWORKS for trial in record.get(network, ())]


def all_rows(record: Record) -> list[Row]:
    """Rows of both networks."""
    return [row for network in NETWORKS for row in match(network, record.get(network, ()))]


def _label(each: Configuration, names: Sequence[str]) -> str:
    if len(each.trials) > 1:
        return f"{each.name} ({len(each.trials)} runs)"
    if names.count(each.name) > 1:
        return f"{each.name} ({block_label(each.trials[0])})"
    return each.name
