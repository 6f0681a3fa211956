"""Two runs of one trial compared, number by number, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from rich.table import Table

from mcalc.config import FILES, entries, is_numeric
from mcalc.results import CurvePoint, RecordedTrial

_MOST_NAMED = 5
"""Settings or lesions that a line names."""


@dataclass(frozen=True)
class Part:
    """One kind of thing that two runs have, compared."""

    what: str
    compared: str
    """How much there is of it: `10 lesions`."""
    difference: str = ""
    """What differs, the largest difference and where; empty where all is equal."""


def compare(old: RecordedTrial, new: RecordedTrial) -> list[Part]:
    """Every part of two runs of one trial; both have their artifacts.

    Times are not compared, and of settings only those that change numbers. A number that one run
    lacks is a difference.
    """
    return [
        _parameters(old, new),
        _split(old, new),
        _lesions(old, new),
        _labels(old, new),
        _probabilities(old, new),
        _metrics(old, new),
        _curve(old, new),
        _stop(old, new),
    ]


def as_table(parts: Iterable[Part]) -> Table:
    """The comparison for the console."""
    table = Table("compared", "of", "result")
    for part in parts:
        style = "red" if part.difference else None
        table.add_row(
            part.what, part.compared, "DIFFERS" if part.difference else "equal", style=style
        )
    return table


def _parameters(old: RecordedTrial, new: RecordedTrial) -> Part:
    named = {*old.params, *new.params} & entries().keys()
    # a file may lie elsewhere; that its content is the same is in the key
    keys = sorted(key for key in named if is_numeric(key) and key not in FILES)
    differ = []
    for key in keys:
        neutral = str(entries()[key].rules.neutral)
        was, now = (trial.params.get(key, neutral) for trial in (old, new))
        if was != now:
            differ.append(f"{key} {was} then, {now} now")
    if old.key != new.key:
        differ.append(f"key {old.key} then, {new.key} now")
    return Part("parameters", f"{len(keys)} settings", _first(differ))


def _split(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now = (trial.tags.get("mcalc.split", "") for trial in (old, new))
    return Part("split", "fingerprint", f"{was} then, {now} now" if was != now else "")


def _lesions(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now = old.predictions.ids, new.predictions.ids
    differ = [f"{lesion} only then" for lesion in was if lesion not in set(now)]
    differ += [f"{lesion} only now" for lesion in now if lesion not in set(was)]
    if not differ and was != now:
        pairs = zip(was, now, strict=False)
        same = next((i for i, (then, here) in enumerate(pairs) if then != here), len(was))
        differ = [f"order or number, from row {min(same, len(now)) + 1} on"]
    return Part("lesions", f"{len(was)} ids", _first(differ))


def _labels(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now, ids = _common(old, new, lambda trial: trial.predictions.labels)
    differ = [
        f"{lesion} {before} then, {after} now"
        for lesion, before, after in zip(ids, was, now, strict=True)
        if before != after
    ]
    return Part("labels", f"{len(ids)} lesions", _first(differ))


def _probabilities(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now, ids = _common(old, new, lambda trial: trial.predictions.probabilities)
    return Part("probabilities", f"{len(ids)} lesions", _largest(was, now, ids))


def _metrics(old: RecordedTrial, new: RecordedTrial) -> Part:
    names = sorted(name for name in {*old.metrics, *new.metrics} if "seconds" not in name)
    was, now = ([trial.metrics.get(name, math.nan) for name in names] for trial in (old, new))
    return Part("metrics", f"{len(names)} values", _largest(was, now, names))


def _curve(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now = ({point.iteration: point for point in trial.curve} for trial in (old, new))
    columns = [entry.name for entry in fields(CurvePoint) if entry.name != "iteration"]
    differ = [f"iteration {i} only then" for i in was if i not in now]
    differ += [f"iteration {i} only now" for i in now if i not in was]
    if not differ and len(old.curve) != len(new.curve):
        differ = [f"{len(old.curve)} evaluations then, {len(new.curve)} now"]
    places = [(i, column) for i in was if i in now for column in columns]
    before, after = (
        [float(getattr(side[i], column)) for i, column in places] for side in (was, now)
    )
    names = [f"{column} at iteration {i}" for i, column in places]
    if largest := _largest(before, after, names):
        differ.append(largest)
    compared = f"{len(old.curve)} evaluations of {len(columns)} values"
    return Part("curve", compared, _first(differ))


def _stop(old: RecordedTrial, new: RecordedTrial) -> Part:
    was, now = (
        f"iteration {trial.metrics.get('iterations', math.nan):g} "
        f"({trial.tags.get('mcalc.stop_reason', 'no reason')}), network of iteration "
        f"{trial.metrics.get('reported_iteration', math.nan):g}"
        for trial in (old, new)
    )
    return Part("end", "iteration, reason, network", f"{was} then, {now} now" if was != now else "")


def _common(
    old: RecordedTrial,
    new: RecordedTrial,
    column: Callable[[RecordedTrial], npt.NDArray[np.generic]],
) -> tuple[list[float], list[float], list[str]]:
    """A column of both runs' predictions, over the lesions that both have."""
    was, now = (
        dict(zip(trial.predictions.ids, column(trial).tolist(), strict=True))
        for trial in (old, new)
    )
    ids = [lesion for lesion in was if lesion in now]
    return [was[lesion] for lesion in ids], [now[lesion] for lesion in ids], ids


def _largest(was: Sequence[float], now: Sequence[float], names: Sequence[str]) -> str:
    """How many of two rows of numbers differ, the largest difference and where; empty for none.

    A number beside nan differs more than any two numbers.
    """
    gaps = {
        name: math.inf if math.isnan(before) or math.isnan(after) else abs(after - before)
        for name, before, after in zip(names, was, now, strict=True)
        if before != after and not (math.isnan(before) and math.isnan(after))
    }
    if not gaps:
        return ""
    name = max(gaps, key=lambda each: gaps[each])
    place = list(names).index(name)
    most = "" if math.isinf(gaps[name]) else f", at most by {gaps[name]:.3g}"
    return f"{len(gaps)} of {len(names)}{most} ({name}: {was[place]!r} then, {now[place]!r} now)"


def _first(differ: Sequence[str]) -> str:
    more = f" and {len(differ) - _MOST_NAMED} more" if len(differ) > _MOST_NAMED else ""
    return "; ".join(differ[:_MOST_NAMED]) + more
