"""Two runs of a trial beside each other: every number counts, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcalc.results import Artifacts, CurvePoint, Predictions, RecordedTrial
from mcalc.trials.comparison import compare
from mcalc.trials.conditions import notes

CURVE = (
    CurvePoint(1, 0.1, 0.7, 0.5, 0.6, 0.5, math.nan),
    CurvePoint(5, 0.5, 0.6, 0.6, 0.5, 0.6, 0.75),
)


def trial() -> RecordedTrial:
    return RecordedTrial(
        run_id="a" * 32,
        name="AL1",
        state="finished",
        params={"head.weight_lr": "10.0", "trainer.workers": "0", "backbone.weights": "/a.pth"},
        metrics={"accuracy": 0.75, "iterations": 5.0, "reported_iteration": 5.0, "seconds": 2.0},
        tags={"mcalc.key": "k", "mcalc.stop_reason": "patience", "mcalc.split": "s"},
        artifacts=Artifacts(
            Predictions(("one", "two", "three"), np.array([0, 1, 1]), np.array([0.1, 1 / 3, 0.9])),
            CURVE,
        ),
    )


def with_predictions(run: RecordedTrial, **changes: object) -> RecordedTrial:
    return replace(run, artifacts=Artifacts(replace(run.predictions, **changes), run.curve))


def differing(old: RecordedTrial, new: RecordedTrial) -> dict[str, str]:
    return {part.what: part.difference for part in compare(old, new) if part.difference}


def test_times_places_and_how_it_was_run_are_no_difference() -> None:
    other = replace(
        trial(),
        run_id="b" * 32,
        metrics={**trial().metrics, "seconds": 99.0},
        params={**trial().params, "trainer.workers": "2", "backbone.weights": "/b.pth"},
    )
    assert differing(trial(), other) == {}


def test_a_last_bit_is_a_difference() -> None:
    values = trial().predictions.probabilities.copy()
    values[1] = np.nextafter(values[1], 1)
    found = differing(trial(), with_predictions(trial(), probabilities=values))
    assert list(found) == ["probabilities"]
    assert "1 of 3, at most by 5.55e-17 (two: 0.3333333333333333 then" in found["probabilities"]


def test_the_largest_difference_is_named() -> None:
    values = trial().predictions.probabilities + np.array([0.01, 0.3, 0.02])
    found = differing(trial(), with_predictions(trial(), probabilities=values))
    assert "3 of 3, at most by 0.3 (two:" in found["probabilities"]


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("labels", lambda run: with_predictions(run, labels=np.array([0, 1, 0])), "three 1 then"),
        ("lesions", lambda run: with_predictions(run, ids=("one", "two", "3")), "three only then"),
        ("lesions", lambda run: with_predictions(run, ids=("one", "three", "two")), "from row 2"),
        ("metrics", lambda run: replace(run, metrics={**run.metrics, "accuracy": 0.7}), "accuracy"),
        ("metrics", lambda run: replace(run, metrics={**run.metrics, "auc": 0.7}), "auc: nan then"),
        ("curve", lambda run: replace(run, artifacts=Artifacts(run.predictions, CURVE[:1])),
         "iteration 5 only then"),
        ("curve", lambda run: replace(run, artifacts=Artifacts(
            run.predictions, (replace(CURVE[0], val_auc=0.5), CURVE[1]))),
         "val_auc at iteration 1: nan then, 0.5 now"),
        ("end", lambda run: replace(run, tags={**run.tags, "mcalc.stop_reason": "max_epochs"}),
         "(max_epochs)"),
        ("split", lambda run: replace(run, tags={**run.tags, "mcalc.split": "t"}), "s then, t now"),
        ("parameters", lambda run: replace(run, params={**run.params, "head.weight_lr": "11.0"}),
         "head.weight_lr 10.0 then, 11.0 now"),
        ("parameters", lambda run: replace(run, params={**run.params, "backbone.lr_decay": "0.5"}),
         "backbone.lr_decay 1.0 then, 0.5 now"),
    ],
)  # fmt: skip
def test_each_part_names_what_differs(
    part: str, change: Callable[[RecordedTrial], RecordedTrial], said: str
) -> None:
    found = differing(trial(), change(trial()))
    assert said in found[part]


def test_a_setting_newer_than_the_record_is_equal_at_its_neutral_value() -> None:
    newer = replace(trial(), params={**trial().params, "backbone.lr_decay": "1.0"})
    assert differing(trial(), newer) == {}


def test_notes_name_what_may_explain_a_difference() -> None:
    old, new = (
        replace(
            trial(),
            tags={
                "mcalc.versions": f'{{"torch": "{torch}", "numpy": "2.0"}}',
                "mcalc.git": revision,
                "mcalc.cpu": cpu,
            },
        )
        for torch, revision, cpu in (("2.4", "abc", "EPYC"), ("2.5", "def", "Xeon"))
    )
    assert notes(old, new) == [
        "torch was 2.4, now 2.5",
        "processor was EPYC, now Xeon",
        "revision of the code was abc, now def",
    ]
    assert notes(old, old) == []
    assert notes(trial(), new) == [], "what was not recorded says nothing"
