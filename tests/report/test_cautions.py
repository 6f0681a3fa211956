from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from report_tables import with_predictions

from mcalc.report.cautions import cautions, grouped, names, provenance
from mcalc.results import Predictions


def test_sound_trials_need_no_caution(trial) -> None:
    assert cautions([trial("AL1"), trial("AL2")]) == ()
    assert cautions([]) == provenance([]) == ()


def test_phantom_numbers_say_nothing_about_mammograms(trial) -> None:
    (caution,) = cautions([trial("AL1", params={"data.source": "phantom"})])
    assert caution.startswith("Phantom data:")
    assert "say nothing about mammograms" in caution


def test_the_papers_protocol_is_always_cautioned_with_its_leak(trial) -> None:
    tags = {"mcalc.protocol": "paper", "mcalc.leak": "patients on both sides: 12"}
    (caution,) = cautions([trial("AL1", tags=tags)])
    assert "stops training and is reported" in caution
    assert "patients on both sides: 12" in caution


def test_a_leak_is_told_under_any_protocol(trial) -> None:
    leaking = trial("AL2", tags={"mcalc.leak": "patients on both sides: 1"})
    (caution,) = cautions([trial("AL1"), leaking])
    assert "(AL2)" in caution
    assert "patients on both sides: 1" in caution


def test_each_warning_is_told_once_with_its_trials(trial) -> None:
    made = [
        trial("AL1", warnings=("random weights",)),
        trial("AL2"),
        trial("AL3", warnings=("random weights", "3 crops missing")),
    ]
    assert cautions(made) == (
        "Warning (AL1, AL3): random weights",
        "Warning (AL3): 3 crops missing",
    )


def test_numbers_of_several_versions_of_the_numerics_are_cautioned(trial) -> None:
    old, new = ({"mcalc.identity": json.dumps({"numerics": version})} for version in (6, 7))
    made = [trial("AL1", tags=old), trial("AL2", tags=new), trial("AL3", tags=new)]
    (caution,) = cautions(made)
    assert "several versions of the code's numerics: 6 (AL1); 7 (AL2, AL3)" in caution
    assert cautions(made[1:]) == ()
    damaged = trial("AL4", tags={"mcalc.identity": "[6"})
    (caution,) = cautions([*made[1:], damaged])
    assert "not recorded (AL4)" in caution


def test_trials_of_different_lesions_are_cautioned(trial) -> None:
    other = Predictions(("x", "y"), np.array([0, 1]), np.array([0.2, 0.8]))
    (caution,) = cautions([trial("AL1"), with_predictions(trial("AL2"), other)])
    assert "not report on the same lesions" in caution


def test_a_patience_that_never_fired_is_cautioned(trial) -> None:
    limit = {"mcalc.stop_reason": "max_epochs"}
    endless = trial("mine", tags=limit, params={"stopping.patience": None})
    assert cautions([trial("AL1"), endless]) == ()  # without a patience, the limit is the plan
    (caution,) = cautions([trial("AL1"), endless, trial("AL7", tags=limit)])
    assert "1 of 2 trials with a patience ended at its limit" in caution
    assert caution.endswith("(AL7).")
    (caution,) = cautions([trial("AL6", tags=limit), trial("AL7", tags=limit)])
    assert "2 of 2 trials with a patience ended at their limit" in caution
    assert "(AL6, AL7); two of them that differ in patience alone are one network." in caution


def test_what_is_said_of_one_trial_is_in_the_singular(trial) -> None:
    ones = {"trainer.max_epochs": 1, "trainer.max_iterations": 1, "trainer.val_every": 1}
    only = trial("AL7", tags={"mcalc.stop_reason": "max_epochs"}, params=ones)
    assert cautions([only]) == ("Training ended at its limit, before the patience was used up.",)
    text = "\n".join(provenance([only]))
    assert "at most 1 epoch or 1 iteration, batches of 10, validation every iteration, " in text


def test_provenance_says_set_baselines_origin_and_scale(trial) -> None:
    size = {"size_auc": 0.7021, "size_auc_low": 0.65, "size_auc_high": 0.754}
    text = "\n".join(provenance([trial("AL1", metrics=size), trial("AL2", metrics=size)]))
    for part in (
        "n = 56 lesions (40 benign, 16 malignant)",
        "901 images (504 benign, 397 malignant)",
        "commoner class scores 0.7143; in the paper 0.5594",  # 40/56 and 504/901
        "AUC 0.702 (0.650–0.754)",
        "Protocol: patient; leak: none.",
        "Weights: imagenet (origin).",
        "kaggle layout; fingerprint abc123",
        "at most 30 epochs, batches of 10, validation every 50 iterations, base rate 0.0001",
        "Iterations trained: 350",
    ):
        assert part in text


def test_what_was_not_recorded_is_said(trial) -> None:
    bare = replace(trial("AL1"), tags={}, metrics={}, params={})
    text = "\n".join(provenance([bare]))
    assert "Weights: not recorded." in text
    assert "AUC not recorded" in text
    assert "Iterations trained: not recorded" in text


def test_values_that_differ_are_told_by_trial(trial) -> None:
    made = [trial(f"AL{i}", tags={"mcalc.weights": "a" if i < 4 else "b"}) for i in range(1, 6)]
    assert grouped(made, lambda one: one.tags["mcalc.weights"]) == "a (AL1–AL3); b (AL4, AL5)"
    assert grouped(made, lambda one: one.tags["mcalc.data"]) == "kaggle layout"
    assert names([made[0], made[2], made[3], made[4]], made) == "AL1, AL3–AL5"


def test_trials_are_grouped_by_asking_each_once(trial) -> None:
    made = [trial(f"T{i}", tags={"mcalc.weights": f"w{i % 7}"}) for i in range(50)]
    asked: list[str] = []

    def weights(one) -> str:
        asked.append(one.name)
        return one.tags["mcalc.weights"]

    found = grouped(made, weights)
    assert asked == [one.name for one in made]
    whose = {
        f"w{i}": [one for one in made if one.tags["mcalc.weights"] == f"w{i}"] for i in range(7)
    }
    assert found == "; ".join(f"{name} ({names(each, made)})" for name, each in whose.items())
