"""Which trial counts of several that have one name: a row was edited, or the numerics changed.

That is the one that began last, in both stores, unless it is said otherwise: who edits a row back
means the trial before. It is recorded already, and does not begin again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from optuna.trial import FrozenTrial

from mcalc.results import RecordedTrial
from mcalc.sweep.store import DONE, SweepStudy, run_ids
from mcalc.tracking import Tracker, count_again, reported


def let_count(
    study: SweepStudy,
    tracker: Tracker,
    keys: Mapping[str, str],
    runs: Iterable[RecordedTrial] = (),
) -> None:
    """Let the trial of this key count of each name; `keys` by name.

    `runs`: those of the sweep in MLflow, where they are known: one that a report shows in place of
    the trial's gives way, as after Optuna's store was lost and with it what was asked for.

    Names that are not among them, and those whose trial of this key is not recorded, stay as they
    are: what is recorded next counts.
    """
    last: dict[str, FrozenTrial] = {}
    wanted: dict[str, FrozenTrial] = {}
    for attempt in study.attempts():
        name = str(attempt.user_attrs.get("name", ""))
        if name in keys:
            last[name] = attempt
            if attempt.user_attrs.get("key") == keys[name]:
                wanted[name] = attempt
    known = study.preferred()
    now = {name: mark for name, mark in known.items() if name not in keys}
    for name, attempt in wanted.items():
        if attempt.number != last[name].number:
            now[name] = (keys[name], last[name].number)
    shown = reported(runs)
    # the study last: whoever is killed in between does all of it again
    for name, attempt in wanted.items():
        ids = run_ids(attempt)
        is_other = name in shown and set(shown[name].ids).isdisjoint(ids)
        is_shown = not is_other or attempt.state not in DONE
        if known.get(name) != now.get(name) or not is_shown:
            for run_id in ids:
                count_again(tracker, run_id)
    if now != known:
        study.prefer(now)
