"""The reporting checklist says what the record knows, and no more."""

from __future__ import annotations

import json

from mcalc.report.package.checklist import checklist
from mcalc.results import RecordedTrial


def answer(item: str, trials: list[RecordedTrial]) -> str:
    """What stands beside an item from the record."""
    (row,) = [line for line in checklist(trials).splitlines() if f"| {item}" in line]
    return row.split("|")[3].strip()


def test_versions_that_cannot_be_read_are_shown_as_they_were_recorded(trial) -> None:
    recorded = {
        "AL1": json.dumps({"torch": "2.15.0", "numpy": "2.4.1"}),
        "AL2": "torch 2.15.0 (by hand)",
        "AL3": '["torch"]',
    }
    trials = [trial(name, tags={"mcalc.versions": text}) for name, text in recorded.items()]
    assert answer("software libraries", [*trials, trial("AL4")]) == (
        "torch 2.15.0, numpy 2.4.1 (AL1); torch 2.15.0 (by hand) (AL2); "
        '["torch"] (AL3); unknown (AL4)'
    )
