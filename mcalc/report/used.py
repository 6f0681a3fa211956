"""What recorded trials used where the paper says nothing, beside what mcalc takes by default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcalc.iteration import grouped
from mcalc.paper import ASSUMPTIONS
from mcalc.paper.assumptions import Assumption
from mcalc.report.cautions import names
from mcalc.results import RecordedTrial

NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class UsedValue:
    """A setting's value in some of the trials."""

    setting: str
    """`trainer.lr=0.01`, as typed."""
    trials: str
    """Whose it is: `AL1, AL5–AL7`; empty where all trials have it."""
    departs: bool
    """Whether it is another value than the default."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """An assumption, and what was used of it."""

    assumption: Assumption
    taken: tuple[str, ...]
    """Settings with the values taken by default, as typed."""
    used: tuple[UsedValue, ...]
    """In the order of `taken`, one for each value; empty where no trial is recorded."""

    @property
    def departs(self) -> bool:
        """Whether any trial used another value."""
        return any(value.departs for value in self.used)


def assumed(trials: Sequence[RecordedTrial]) -> tuple[Assumed, ...]:
    """Every assumption, with the values that the trials used."""
    return tuple(
        Assumed(
            assumption,
            tuple(_typed(key, value) for key, value in assumption.taken.items()),
            tuple(
                used
                for key, value in assumption.taken.items()
                for used in _used(key, value, trials)
            ),
        )
        for assumption in ASSUMPTIONS
    )


def _used(key: str, taken: Any, trials: Sequence[RecordedTrial]) -> list[UsedValue]:
    groups = grouped(trials, lambda trial: _recorded(trial, key, taken))
    return [
        UsedValue(
            f"{key}: {NOT_RECORDED}" if value == NOT_RECORDED else f"{key}={value}",
            names(whose, trials) if len(groups) > 1 else "",
            departs=value not in (NOT_RECORDED, _text(taken)),
        )
        for value, whose in groups.items()
    ]


def _recorded(trial: RecordedTrial, key: str, taken: Any) -> str:
    """The recorded value as typed; a number that equals the default is written as that is."""
    if key not in trial.params:
        return NOT_RECORDED
    value = trial.param(key)
    number = isinstance(taken, int | float) and not isinstance(taken, bool)
    if number and isinstance(value, int | float) and value == taken:
        return _text(taken)
    if trial.params[key] in ("True", "False"):
        return trial.params[key].lower()
    return _text(value)


def _typed(key: str, value: Any) -> str:
    return f"{key}={_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
