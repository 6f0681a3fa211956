"""What optuna-dashboard shows of a sweep: the name of its values, and a note.

In the attributes that `Study.set_metric_names` and `optuna_dashboard.save_note` set: the first
warns that it may change, and the second is of a package that the engine does without.
"""

from __future__ import annotations

from typing import Any

from mcalc.sweep.planning import Plan
from mcalc.sweep.store.entry import METRIC_NAMES
from mcalc.sweep.store.storage import Storage

_NAMES = "study:metric_names"
_NOTE, _NOTE_VERSION = "dashboard:note_str:", "dashboard:note_ver"
_NOTE_LENGTH = 2000
"""Characters of one of optuna-dashboard's pieces of a note."""


def describe_for_dashboard(plan: Plan, note: str, storage: Storage, study: int) -> None:
    """Write the name of a study's values and its note, in Markdown, where they are others.

    `study`: its id in Optuna's store.
    """
    known = storage.optuna.get_study_system_attrs(study)
    wanted: dict[str, Any] = {
        _NAMES: [METRIC_NAMES[plan.search.objective if plan.search else None]]
    }
    note = note[:_NOTE_LENGTH]
    if known.get(f"{_NOTE}0") != note:
        wanted |= {name: "" for name in known if name.startswith(_NOTE)}
        wanted |= {_NOTE_VERSION: int(known.get(_NOTE_VERSION, 0)) + 1, f"{_NOTE}0": note}
    for name, value in wanted.items():
        if known.get(name) != value:
            storage.optuna.set_study_system_attr(study, name, value)
