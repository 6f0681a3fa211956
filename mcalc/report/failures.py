"""Trials that have no result, each with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from mcalc.config import short_name
from mcalc.report.formats import NOT_RUN, Column, Table, rounded_name
from mcalc.report.varying import value_cell, varying
from mcalc.results import ERROR_TAG, RecordedTrial

_LONGEST = 300
_EARLIER = "; restarted: the tables show its earlier result"
_REASONS = {
    "pruned": "stopped early, as others were ahead of it",
    "interrupted": "cut off; the same command goes on with it",
    "running": "running, or cut off without notice",
    "failed": "no reason was recorded",
}


def failures_table(
    unfinished: Sequence[RecordedTrial], finished: Sequence[RecordedTrial] = ()
) -> Table:
    """A row a trial: its state, the recorded reason, its settings that vary, its run in MLflow.

    Args:
        unfinished: the trials of the table.
        finished: others of their sweep, which tell what varies.
    """
    settings = varying([*finished, *unfinished])
    anew = {trial.run_id for trial in begun_anew(unfinished, finished)}
    # a search numbers its trials; other names have the settings in them
    named = all("=" in trial.name for trial in unfinished)
    shown = () if named or not settings else (Column("settings", "Settings", text=True),)
    rows = tuple(
        (
            rounded_name(trial.name),
            trial.state,
            _reason(trial) + (_EARLIER if trial.run_id in anew else ""),
            *([_settings(trial, settings)] if shown else []),
            trial.run_id,
        )
        for trial in unfinished
    )
    states = [trial.state for trial in unfinished]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return Table(
        f"Trials without a result: {counts}" if rows else "Trials without a result",
        (
            Column("name", "Name", text=True),
            Column("state", "State", text=True),
            Column("reason", "Reason", text=True),
            *shown,
            Column("run_id", "MLflow run", text=True),
        ),
        rows,
        (_note(len(rows), len(anew)),) if rows else (),
    )


def begun_anew(
    unfinished: Sequence[RecordedTrial], finished: Sequence[RecordedTrial]
) -> list[RecordedTrial]:
    """Trials without a result that have an earlier one, of other settings, data or numerics."""
    names = {trial.name for trial in finished}
    return [trial for trial in unfinished if trial.name in names]


def _note(rows: int, anew: int) -> str:
    if not anew:
        return "They are in no other table, mean or count of this page."
    others = "" if anew == rows else "; the others are in no other table, mean or count"
    return (
        f"Of {anew} of them the tables of this page show an earlier result, of other settings, "
        f"data or numerics of the code{others}."
    )


def _settings(trial: RecordedTrial, keys: Sequence[str]) -> str:
    """`lr=0.003, weight_lr=10`, as names of trials have them."""
    return short_name(", ".join(f"{key}={value_cell(trial, key)}" for key in keys))


def _reason(trial: RecordedTrial) -> str:
    text = " ".join(trial.tags.get(ERROR_TAG, "").split())
    if not text:
        return _REASONS.get(trial.state, NOT_RUN)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
