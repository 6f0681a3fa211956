"""Which trials are one configuration, what tells its runs apart, and how far their splits overlap.

A configuration's name has neither seed nor fold.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_tables import column

from mcalc.report.configurations import tested_by_trained as overlap_of
from mcalc.report.discipline import discipline_table
from mcalc.report.paper_tables import build
from mcalc.report.repetitions import blocked_table
from mcalc.report.rows import match, single_rows
from mcalc.results import Evidence, RecordedTrial

CV = {"mcalc.protocol": "cv"}


def reporting(run: RecordedTrial, reported: int, validation: int = 0) -> RecordedTrial:
    """The trial with so many lesions known of each part."""
    counts = {"reported": reported, "validation": validation}
    known = tuple(
        Evidence(part, f"{part} {i}", {}) for part, count in counts.items() for i in range(count)
    )
    assert run.artifacts is not None
    return replace(run, artifacts=replace(run.artifacts, evidence=known))


def test_runs_of_repeated_folds_are_told_apart_by_their_repeat(trial) -> None:
    runs = [
        trial(
            f"AL1, protocol.fold=2, protocol.repeat={repeat}",
            tags=CV,
            params={"protocol.fold": 2, "protocol.repeat": repeat},
            run_id=f"{repeat}",
        )
        for repeat in (0, 1)
    ]
    labels = [row.label for row in single_rows("alexnet", runs)][:2]
    assert labels == ["AL1 (seed 0, fold 2)", "AL1 (seed 0, fold 2, repeat 1)"]


def test_two_configurations_of_one_name_are_rows_that_say_their_seed(trial) -> None:
    """As where a row was run again with another seed and for longer."""
    short = trial("AL1, seed=0")
    long = trial("AL1, seed=1", params={"seed": 1, "trainer.max_epochs": 60}, run_id="long")
    assert [row.label for row in match("alexnet", [short, long])][:3] == [
        "AL1 (seed 0)", "AL1 (seed 1)", "AL2",
    ]  # fmt: skip
    table = build(1, {"alexnet": [short, long]})
    assert column(table, "name")[:2] == ("AL1 (seed 0)", "AL1 (seed 1)")


@pytest.mark.parametrize(
    ("params", "tags", "expected"),
    [
        # one of four folds is tested by the three others
        ({"protocol.folds": 4}, CV, 1 / 3),
        # of three quarters a fourth stops training: 1/4 by 9/16
        ({"protocol.folds": 4, "protocol.validation": 0.25}, CV, 4 / 9),
        ({"protocol.held_out": 0.2}, {}, 1 / 4),
        # a record of more lesions reported than there are contradicts itself
        ({"protocol.held_out": 0.2}, {"mcalc.data": "50 lesions of 20 patients"}, 1 / 4),
        ({"protocol.held_out": 0.2}, {"mcalc.data": "180 lesions of 70 patients"}, 60 / 110),
    ],
)
def test_lesions_tested_by_lesions_trained_on(
    trial, params: dict[str, float], tags: dict[str, str], expected: float
) -> None:
    run = trial("AL1", params=params, tags=tags)
    if "mcalc.data" in tags:
        run = reporting(run, 60, validation=10)
    assert overlap_of(run) == pytest.approx(expected)


def test_configurations_without_two_common_seeds_are_not_paired(trial) -> None:
    seeds = {"AL1": (0, 1, 2), "AL2": (2, 3), "AL3": (1, 2, 5)}
    runs = [
        trial(f"{name}, seed={seed}", tp=10 + seed, params={"seed": seed}, run_id=f"{name} {seed}")
        for name, several in seeds.items()
        for seed in several
    ]
    table = blocked_table(runs)
    assert table is not None
    assert [(row[0], row[1]) for row in table.rows] == [("AL1", "AL3")]
    assert column(table, "blocks") == ("2",)
    assert blocked_table([run for run in runs if not run.name.startswith("AL3")]) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        # the same in both seeds: without a variance there is nothing to test
        ({"AL1": (10, 10), "AL3": (12, 12)}, "No pair can be tested."),
        ({"AL1": (10, 10), "AL3": (10, 10)}, "No difference is shown (p ≥ 0.05)."),
        (
            {"AL1": (10, 10), "AL3": (12, 12), "AL5": (11, 14)},
            "0 of 3 pairs differ at p < 0.05 after Holm's correction; 1 cannot be tested.",
        ),
    ],
)
def test_what_is_said_of_pairs_is_what_was_tested(
    trial, wrong: dict[str, tuple[int, int]], said: str
) -> None:
    runs = [
        trial(f"{name}, seed={seed}", fp=fp, params={"seed": seed}, run_id=f"{name} {seed}")
        for name, several in wrong.items()
        for seed, fp in enumerate(several)
    ]
    table = blocked_table(runs)
    assert table is not None
    assert table.notes[0].startswith(f"{said} ")


def test_protocols_without_a_common_row_and_seed_are_no_ladder(trial) -> None:
    runs = [
        trial(f"{name}, seed={seed}", tags={"mcalc.protocol": name}, params={"seed": seed})
        for name, seed in (("paper", 0), ("patient", 1))
    ]
    assert discipline_table(runs) is None
    same = trial("patient, seed=0", tags={"mcalc.protocol": "patient"}, run_id="same")
    assert column(discipline_table([*runs, same]), "runs") == ("1", "1")
