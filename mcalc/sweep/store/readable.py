"""What of Optuna's database Optuna cannot read, and attributes of ours that are not of their shape.

Neither Optuna nor mcalc writes such rows: they are what somebody changed by hand, or a fault of a
disk. Optuna refuses a whole study for one of them.
"""

from __future__ import annotations

import copy
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from mcalc.sqlite_file import opened, table_names
from mcalc.sweep.store.entry import FLAT

_WRONG_VALUE = (
    "objective <> 0 OR value_type NOT IN ('FINITE', 'INF_POS', 'INF_NEG') "
    "OR (value_type = 'FINITE') = (value IS NULL)"
)
_WRONG_EVALUATION = (
    "intermediate_value_type NOT IN ('FINITE', 'INF_POS', 'INF_NEG', 'NAN') "
    "OR (intermediate_value_type = 'FINITE') = (intermediate_value IS NULL)"
)
_UNREADABLE = {
    "trial_user_attributes": "json_valid(value_json) IS NOT 1",
    "trial_system_attributes": "json_valid(value_json) IS NOT 1",
    "study_user_attributes": "json_valid(value_json) IS NOT 1",
    "study_system_attributes": "json_valid(value_json) IS NOT 1",
    "trial_params": "json_valid(distribution_json) IS NOT 1 OR param_value IS NULL OR "
    "json_extract(distribution_json, '$.name') IS NULL",
    "trial_values": _WRONG_VALUE,
    "trial_intermediate_values": _WRONG_EVALUATION,
    "study_directions": "objective <> 0",
}
"""By table, which of its rows Optuna cannot read; without them an entry has less than it had."""
_CHANGED = {
    "state": (
        "state IS NULL OR state NOT IN ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL')",
        "state = 'RUNNING', datetime_complete = NULL",
    ),
    "datetime_start": (
        "datetime_start IS NOT NULL AND datetime(datetime_start) IS NULL",
        "datetime_start = NULL",
    ),
    "datetime_complete": (
        "datetime_complete IS NOT NULL AND datetime(datetime_complete) IS NULL",
        "datetime_complete = NULL",
    ),
}
"""By column of a trial, where it cannot be read, and what then is set.

One of no state is one that was cut off: the same command resumes it, or takes its run over.
"""


def unreadable_rows(file: Path) -> list[str]:
    """What a check says of each row that Optuna cannot read; nothing of another program's file."""
    if not _known(file):
        return []
    with opened(file) as database:
        known = {**_known(file), **{"trials": " OR ".join(w for w, _ in _CHANGED.values())}}
        numbers = {
            table: int(
                database.execute(f"SELECT count(*) FROM {table} WHERE {wrong}").fetchone()[0]
            )
            for table, wrong in known.items()
        }
        wrong = [
            f"{n} rows of its table {table} cannot be read" for table, n in numbers.items() if n
        ]
        for study, name in database.execute("SELECT study_id, study_name FROM studies"):
            taken = _numbers(database, study)
            if sorted(taken.values()) != list(range(len(taken))):
                wrong.append(f"its entries of {name} are not numbered one by one")
        return wrong


def remove_unreadable_rows(file: Path) -> None:
    """Remove those rows, and what of a trial cannot be read."""
    with opened(file) as database, database:
        for table, wrong in _known(file).items():
            database.execute(f"DELETE FROM {table} WHERE {wrong}")
        for wrong, instead in _CHANGED.values():
            database.execute(f"UPDATE trials SET {instead} WHERE {wrong}")
        for (study,) in database.execute("SELECT study_id FROM studies").fetchall():
            _number(database, study)


def _numbers(database: sqlite3.Connection, study: int) -> dict[int, int]:
    """Number of each entry of a study by its id, in the order in which they were made."""
    query = "SELECT trial_id, coalesce(number, -1) FROM trials WHERE study_id = ? ORDER BY trial_id"
    return {int(trial): int(number) for trial, number in database.execute(query, (study,))}


def _number(database: sqlite3.Connection, study: int) -> None:
    """Let every number be one entry's: Optuna takes how many there are for the next one's number.

    An entry that is gone leaves a failed one without a trial.
    """
    taken: set[int] = set()
    numbers = _numbers(database, study)
    times = Counter(numbers.values())
    for place, (trial, number) in enumerate(numbers.items()):
        twice = number < 0 or times[number] > 1
        right = place if twice and place not in times else number
        while right < 0 or right in taken:
            right += 1
        taken.add(right)
        database.execute("UPDATE trials SET number = ? WHERE trial_id = ?", (right, trial))
    for gap in sorted({*range(max(taken, default=-1))} - taken):
        database.execute(
            "INSERT INTO trials (number, study_id, state) VALUES (?, ?, 'FAIL')", (gap, study)
        )


def _known(file: Path) -> dict[str, str]:
    tables = table_names(file)
    if not {"studies", "trials"} <= tables:
        return {}
    return {table: wrong for table, wrong in _UNREADABLE.items() if table in tables}


def rename_study(engine: sa.Engine, before: str, now: str) -> None:
    """Change a study's name in Optuna's own table."""
    query = sa.text("UPDATE studies SET study_name = :now WHERE study_name = :before")
    with engine.begin() as connection:
        connection.execute(query, {"now": now, "before": before})


def _is_numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_number(each) for each in value.values())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())


def _is_identity(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("attempt"), int)
        and isinstance(value.get("trajectory"), str)
        and isinstance(value.get("values"), Mapping)
        and isinstance(value.get("settings"), Mapping)
    )


def _are_voids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) for each in value)


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "key": _is_text,
    "name": _is_text,
    "manifest": _is_text,
    "mlflow_run": _is_text,
    "error": _is_text,
    "identity": _is_identity,
    "result": _is_numbers,
    "runs": _is_texts,
    "voids": _are_voids,
    "copy_of": _is_number,
    **dict.fromkeys(FLAT, _is_number),
}


def with_sound_attributes(attempt: FrozenTrial) -> FrozenTrial:
    """The attempt without attributes of ours that are not of their shape."""
    attributes: dict[str, Any] = attempt.user_attrs
    sound = {
        name: value
        for name, value in attributes.items()
        if name not in _SHAPES or _SHAPES[name](value)
    }
    if len(sound) == len(attributes):
        return attempt
    changed = copy.copy(attempt)
    changed.user_attrs = sound
    return changed
