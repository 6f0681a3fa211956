"""Which trial counts of several that have one name: a row was edited, or the numerics changed.

That is the one that began last, in both stores, unless it is said otherwise: who edits a row back
means the trial before. It is recorded already, and does not begin again.
"""

from __future__ import annotations

from collections.abc import Mapping

from optuna.trial import FrozenTrial

from mcalc.sweep.store import SweepStudy, run_ids
from mcalc.tracking import Tracker, count_again


def let_count(study: SweepStudy, tracker: Tracker, keys: Mapping[str, str]) -> None:
    """Let the trial of this key count of each name; `keys` by name.

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
    # the study last: whoever is killed in between does all of it again
    for name in known.keys() | now.keys():
        if known.get(name) != now.get(name) and name in wanted:
            for run_id in run_ids(wanted[name]):
                count_again(tracker, run_id)
    if now != known:
        study.prefer(now)
