"""What the report infers: differences, case mix, choices and repetitions, by other means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from report_tables import column, with_predictions
from scipy.special import expit, logit
from scipy.stats import binomtest, ttest_rel
from sklearn.metrics import brier_score_loss, roc_auc_score

from mcalc.evaluation import Choice, ladder_figure
from mcalc.report import case_mix, comparisons
from mcalc.report.baselines import baselines_table
from mcalc.report.case_mix import case_mix_table
from mcalc.report.cautions import cautions, provenance
from mcalc.report.choosing import calibration_table, choosing_table, expected_best_of
from mcalc.report.comparisons import comparisons_table
from mcalc.report.configurations import base_name, configurations
from mcalc.report.discipline import discipline_table, rungs
from mcalc.report.first_screen import verdict
from mcalc.report.formats import NOT_RUN, Table, as_csv, as_text
from mcalc.report.paper_tables import build
from mcalc.report.repetitions import blocked_table, repetitions_table
from mcalc.results import Evidence, Predictions, RecordedTrial

N = 120
DRAW = np.random.default_rng(4)
LABELS = (DRAW.random(N) < 0.4).astype(np.int64)
PATIENTS = tuple(f"P_{i // 3:03d}" for i in range(N))
IDS = tuple(f"L{i}" for i in range(N))


def predictions(seed: int, worth: float = 1.0, ids: Sequence[str] = IDS) -> Predictions:
    noise = np.random.default_rng([seed, 7]).normal(size=N)
    odds = worth * (2.0 * LABELS - 1) + noise
    return Predictions(tuple(ids), LABELS, expit(odds), PATIENTS, odds[:, None])


def evidence(subset: str = "reported") -> tuple[Evidence, ...]:
    """Every third benign lesion needed no callback; two densities; a size baseline."""
    size = expit(0.5 * LABELS + np.random.default_rng(1).normal(size=N))
    rows = []
    for i, name in enumerate(IDS):
        easy = not LABELS[i] and i % 3 == 0
        known = {
            "subset": subset,
            "unit": name,
            "malignant": str(LABELS[i]),
            "pathology": "MALIGNANT" if LABELS[i] else "BENIGN" + "_WITHOUT_CALLBACK" * easy,
            "density": str(1 + i % 2),
            "view": "CC" if i % 2 else "",
            "calc_type": "AMORPHOUS;PLEOMORPHIC" if i % 5 == 0 else "PLEOMORPHIC",
            "subtlety": "3",
            "probability_majority": "0.4",
            "probability_size": repr(float(size[i])),
        }
        rows.append(Evidence(subset, name, known))
    return tuple(rows)


def made(trial, name: str, seed: int, worth: float = 1.0, **settings: object) -> RecordedTrial:
    run = trial(name, **settings)
    artifacts = replace(run.artifacts, predictions=predictions(seed, worth), evidence=evidence())
    return replace(run, artifacts=artifacts, run_id=f"run {name} {seed}")


def with_validation(run: RecordedTrial, seed: int, worth: float = 1.0) -> RecordedTrial:
    apart = predictions(seed, worth, [f"V{i}" for i in range(N)])
    return replace(run, artifacts=replace(run.artifacts, validation=apart))


def cells(table: Table | None, **wanted: str) -> dict[str, str]:
    """The only row with these cells, by column key."""
    assert table is not None
    keys = [each.key for each in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    (found,) = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    return found


# --- differences ----------------------------------------------------------------------------------


def test_networks_are_compared_with_one_another_and_with_baselines(trial) -> None:
    one, two = made(trial, "AL1", 1), made(trial, "AL2", 2, worth=0.3)
    table = comparisons_table([one, two])
    row = cells(table, first="AL1", second="AL2")
    areas = [roc_auc_score(LABELS, each.predictions.probabilities) for each in (one, two)]
    assert row["difference"] == f"{areas[0] - areas[1]:+.3f}"
    right = [(each.predictions.probabilities > 0.5) == LABELS for each in (one, two)]
    only = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    p = binomtest(only[0], sum(only)).pvalue
    assert row["mcnemar"] == ("<0.001" if p < 0.001 else f"{p:.3f}")
    assert float(row["low"]) < areas[0] - areas[1] < float(row["high"])
    size = [float(each.known["probability_size"]) for each in evidence()]
    against = cells(table, first="AL1", second="crop size")
    assert against["second_auc"] == f"{roc_auc_score(LABELS, size):.3f}"
    assert cells(table, first="AL2", second="crop size")


@pytest.mark.parametrize(("worth", "said"), [(3.0, "it ranks"), (0.3, "it does not rank")])
def test_of_one_network_the_first_sentence_says_whether_it_beats_the_size(
    trial, worth: float, said: str
) -> None:
    sentence = verdict([made(trial, "AL1", 1, worth=worth)]).sentence
    assert f"; {said} them better than crop size alone does (AUC " in sentence
    assert sentence.endswith(", at p < 0.05.")


def test_the_first_sentence_counts_as_the_table_of_differences_does(trial) -> None:
    """With descriptors of their own the family is larger, and fewer are above the size."""
    runs = [made(trial, f"AL{i}", i, worth=worth) for i, worth in enumerate((0.3, 1.0, 3.0), 1)]
    generator = np.random.default_rng(0)
    guesses = [repr(float(guess)) for guess in generator.uniform(size=N)]
    wider = []
    for run in runs:
        known = tuple(
            replace(each, known={**each.known, "probability_descriptors": guess})
            for each, guess in zip(run.evidence, guesses, strict=True)
        )
        assert run.artifacts is not None
        wider.append(replace(run, artifacts=replace(run.artifacts, evidence=known)))
    for trials in (runs, wider):
        table = comparisons_table(trials)
        assert table is not None
        rows = [
            (float(difference), float(p.replace("<", "")))
            for second, difference, p in zip(
                *(column(table, key) for key in ("second", "difference", "holm")), strict=True
            )
            if second == "crop size"
        ]
        clear = sum(value > 0 and p < 0.05 for value, p in rows)
        assert comparisons.above_baseline(trials, "size") == (clear, 3)
        said = verdict(trials).sentence
        assert (f"{clear} of 3 rank" if clear else "none ranks") in said


def test_holm_counts_pairs_of_networks_apart_from_those_with_baselines(trial) -> None:
    table = comparisons_table([made(trial, f"AL{i}", i, worth=0.2 * i) for i in (1, 2, 3)])
    assert table is not None
    for with_baseline in (True, False):
        rows = [
            (p, adjusted)
            for p, adjusted, second in zip(
                column(table, "p"), column(table, "holm"), column(table, "second"), strict=True
            )
            if (second == "crop size") == with_baseline and p != "<0.001"
        ]
        assert len(rows) <= 3
        assert all(float(adjusted) >= float(p) for p, adjusted in rows if adjusted[0] != "<")
        assert all(float(adjusted) <= 3 * float(p) + 0.002 for p, adjusted in rows)


def test_equal_predictions_are_one_scorer(trial) -> None:
    same = [made(trial, name, 1) for name in ("AL5", "AL6", "AL7")]
    table = comparisons_table([*same, made(trial, "AL8", 2)])
    assert set(column(table, "first")) == {"AL5–AL7", "AL8"}
    assert table is not None
    said = "No difference in AUC between the two networks is shown (p ≥ 0.05)"
    assert said in " ".join(table.notes)


def test_trials_on_other_lesions_are_not_compared(trial) -> None:
    other = made(trial, "AL2", 2)
    moved = with_predictions(
        other, replace(other.predictions, ids=tuple(f"X{i}" for i in range(N)))
    )
    table = comparisons_table([made(trial, "AL1", 1), moved])
    assert "AL2" not in column(table, "second")


def test_another_table_is_compared_over_the_lesions_that_both_have(trial) -> None:
    theirs = predictions(9, worth=0.5)
    known = dict(zip(theirs.ids[:100], theirs.probabilities[:100].tolist(), strict=True))
    one = made(trial, "AL1", 1)
    table = comparisons_table([one], {"theirs.csv": known})
    row = cells(table, second="theirs.csv")
    assert (
        row["first_auc"]
        == f"{roc_auc_score(LABELS[:100], one.predictions.probabilities[:100]):.3f}"
    )
    assert row["second_auc"] == f"{roc_auc_score(LABELS[:100], theirs.probabilities[:100]):.3f}"
    assert table is not None
    assert "theirs.csv lacks 20 of 120" in " ".join(table.notes)


def test_many_pairs_are_whole_in_csv_and_few_for_people(trial) -> None:
    table = comparisons_table([made(trial, f"AL{i}", i) for i in range(1, 10)])
    assert table is not None
    assert as_csv(table).count("\n") == 1 + 36 + 9
    assert len(table.for_people().rows) == 20 + 9
    assert "16 further pairs are in the CSV file" in as_text(table).replace("\n  ", " ")


# --- case mix -------------------------------------------------------------------------------------


def test_parts_are_scored_by_themselves(trial) -> None:
    one, two = made(trial, "AL1", 1), made(trial, "AL2", 2)
    table = case_mix_table([one, two])
    easy = (LABELS == 0) & (np.arange(N) % 3 == 0)

    def mean_auc(part: npt.NDArray[np.bool_]) -> str:
        each = [roc_auc_score(LABELS[part], t.predictions.probabilities[part]) for t in (one, two)]
        return f"{np.mean(each):.3f}"

    for stratum, part in {"BENIGN": ~easy, "BENIGN_WITHOUT_CALLBACK": easy | (LABELS == 1)}.items():
        row = cells(table, stratum=stratum, scorer="networks, mean")
        assert row["auc"] == mean_auc(part)
        assert (row["n"], row["malignant"]) == (str(part.sum()), str(LABELS.sum()))
        assert row["patients"] == str(len(set(np.array(PATIENTS)[part])))
    odd = np.arange(N) % 2 == 0
    assert cells(table, by="density", stratum="1", scorer="networks, mean")["auc"] == mean_auc(odd)
    both = np.arange(N) % 5 == 0
    row = cells(table, by="type", stratum="AMORPHOUS", scorer="networks, mean")
    assert row["auc"] == mean_auc(both)
    assert cells(table, by="type", stratum="PLEOMORPHIC", scorer="networks, mean")["n"] == str(N)
    assert cells(table, by="view", stratum="unknown", scorer="networks, mean")["n"] == "60"
    assert cells(table, by="all", scorer="crop size")
    row = cells(table, by="all", scorer="AL2")
    assert row["auc"] == f"{roc_auc_score(LABELS, two.predictions.probabilities):.3f}"


def test_tables_1_and_5_and_the_baselines_show_both_classes_of_benign_lesions(trial) -> None:
    one = made(trial, "AL1", 1)
    easy = (LABELS == 0) & (np.arange(N) % 3 == 0)
    said = one.predictions.probabilities
    expected = [roc_auc_score(LABELS[part], said[part]) for part in (~easy, easy | (LABELS == 1))]
    row = cells(build(1, {"alexnet": [one]}), name="AL1")
    assert [row["auc_benign"], row["auc_without_callback"]] == [f"{e:.3f}" for e in expected]
    counts = cells(build(5, {"alexnet": [one]}), name="AL1", source="ours")
    assert counts["fp_without_callback"] == str(int(np.sum(easy & (said > 0.5))))
    rates = cells(build(6, {"alexnet": [one]}), name="AL1")
    hard = (LABELS == 0) & ~easy
    assert rates["specificity_benign"] == f"{np.mean(said[hard] <= 0.5):.4f}"
    assert rates["specificity_without_callback"] == f"{np.mean(said[easy] <= 0.5):.4f}"
    row = cells(baselines_table([one]), scorer="networks, mean of 1")
    assert [row["benign"], row["without_callback"]] == [f"{e:.3f}" for e in expected]


def test_a_table_without_a_part_to_show_says_why(trial, monkeypatch) -> None:
    table = case_mix_table([made(trial, "AL1", 1)])
    assert case_mix.IN_THE_CSV in table.notes
    assert case_mix.NONE_SHOWN not in table.notes
    monkeypatch.setattr(case_mix, "LEAST", N + 1)
    table = case_mix_table([made(trial, "AL1", 1)])
    assert table.for_people().rows == ()
    assert case_mix.NONE_SHOWN in table.notes
    assert case_mix.IN_THE_CSV not in table.notes


def test_a_record_without_lesions_has_no_case_mix(trial) -> None:
    assert case_mix_table([trial("AL1")]) is None
    assert cells(build(1, {"alexnet": [trial("AL1")]}), name="AL1")["auc_benign"] == NOT_RUN
    assert "older than they are" in as_text(baselines_table([trial("AL1")])).replace("\n  ", " ")


# --- choices --------------------------------------------------------------------------------------


def test_the_best_is_named_by_validation_and_judged_on_what_is_reported(trial) -> None:
    better = with_validation(made(trial, "AL1", 1, worth=0.2), 11, worth=2.0)
    worse = with_validation(made(trial, "AL2", 2, worth=2.0), 12, worth=0.2)
    table = choosing_table([worse, better], Choice.youden)
    assert column(table, "name") == ("AL1", "AL2")
    assert column(table, "rank") == ("1", "2")
    assert "Best by validation AUC: AL1." in " ".join(table.notes)
    alone = choosing_table([better], Choice.youden)
    assert column(alone, "rank") == (NOT_RUN,)
    assert "Best" not in " ".join(alone.notes)
    assert "The threshold is fixed on what stopped training" in " ".join(alone.notes)
    row = cells(table, name="AL1")
    threshold = logit(float(row["threshold"]))
    apart = better.validation
    assert apart is not None
    odds = apart.logits[:, 0]
    gain = [np.mean(odds[LABELS == 1] > t) - np.mean(odds[LABELS == 0] > t) for t in odds]
    here = np.mean(odds[LABELS == 1] > threshold) - np.mean(odds[LABELS == 0] > threshold)
    assert here == pytest.approx(max(gain), abs=0.03), "three digits of the threshold are shown"
    called = better.predictions.logits[:, 0] > threshold
    assert float(row["sensitivity"]) == pytest.approx(np.mean(called[LABELS == 1]), abs=0.03)
    # the threshold is that of the lesions that stopped training, whatever is reported
    other = replace(better.predictions, labels=1 - LABELS)
    turned = replace(better, artifacts=replace(better.artifacts, predictions=other))
    again = cells(choosing_table([turned, worse], Choice.youden), name="AL1")
    assert again["threshold_log_odds"] == row["threshold_log_odds"]
    half = better.predictions.probabilities > 0.5
    assert row["sensitivity_half"] == f"{np.mean(half[LABELS == 1]):.3f}"
    assert row["specificity_half"] == f"{np.mean(~half[LABELS == 0]):.3f}"


def test_where_validation_is_what_is_reported_nothing_is_fitted(trial) -> None:
    trials = [made(trial, f"AL{i}", i) for i in (1, 2, 3)]
    table = choosing_table(trials, Choice.youden)
    assert set(column(table, "rank")) == {NOT_RUN}
    assert set(column(table, "threshold")) == {"0.5"}
    notes = " ".join(table.notes)
    assert "nothing is ever fitted on the reported set" in notes
    rates = [np.mean((t.predictions.probabilities > 0.5) == LABELS) for t in trials]
    spread = np.std(rates, ddof=1)
    assert f"lies {max(rates) - np.mean(rates):.3f} above their mean" in notes
    # the expected largest of three normal values is 3 / (2 sqrt(pi))
    assert f"{3 / (2 * math.sqrt(math.pi)) * spread:.3f} would be expected" in notes
    assert calibration_table(trials) is None


def test_the_expected_best_of_some() -> None:
    """Known values: 1 / sqrt(pi) of two, 1.53875 of ten (Teichroew 1956)."""
    assert expected_best_of(1) == 0
    assert expected_best_of(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert expected_best_of(10) == pytest.approx(1.53875, abs=1e-5)


def test_calibration_before_and_after_a_temperature_of_other_lesions(trial) -> None:
    run = with_validation(made(trial, "AL1", 1, worth=2.0), 11, worth=2.0)
    row = cells(calibration_table([run]), name="AL1")
    said = run.predictions
    assert row["brier"] == f"{brier_score_loss(LABELS, said.probabilities):.3f}"
    scaled = expit(said.logits[:, 0] / float(row["temperature"]))
    assert float(row["brier_after"]) == pytest.approx(brier_score_loss(LABELS, scaled), abs=2e-3)
    changed = replace(said, labels=1 - LABELS)
    other = replace(run, artifacts=replace(run.artifacts, predictions=changed))
    assert cells(calibration_table([other]), name="AL1")["temperature"] == row["temperature"]


def test_trials_without_validation_apart_are_counted_where_others_are_calibrated(trial) -> None:
    apart = with_validation(made(trial, "AL1", 1), 11)
    table = calibration_table([apart, made(trial, "AL2", 2), made(trial, "AL3", 3)])
    assert column(table, "name") == ("AL1",)
    assert table is not None
    assert table.notes[-1].startswith("2 of 3 trials have no validation apart: nothing is fitted")
    alone = calibration_table([apart])
    assert alone is not None
    assert "no validation apart" not in " ".join(alone.notes)


# --- repetitions ----------------------------------------------------------------------------------


def seeded(trial, name: str, seed: int, worth: float, **tags: str) -> RecordedTrial:
    run = made(trial, name, seed, worth, params={"seed": seed, "protocol.held_out": 0.3})
    renamed = replace(run, name=f"{name}, seed={seed}", tags={**run.tags, **tags})
    return replace(renamed, run_id=f"{name} {seed}")


def test_configurations_are_what_differs_in_seed_alone(trial) -> None:
    runs = [seeded(trial, n, s, 1.0) for n in ("AL1", "AL5") for s in (0, 1)]
    runs.append(trial("AL2"))
    found = configurations(runs)
    assert [(each.name, len(each.trials)) for each in found] == [("AL1", 2), ("AL5", 2), ("AL2", 1)]
    assert base_name(replace(runs[0], name="lr=1, seed=3, wd=2, protocol.fold=0")) == "lr=1, wd=2"
    assert base_name(replace(runs[0], name="seed=3")) == "alexnet", "nothing else to name it by"


def test_means_sd_and_blocked_differences(trial) -> None:
    tags = {"mcalc.split": "one"}
    runs = [
        seeded(trial, n, s, w, **tags) for n, w in (("AL1", 0.5), ("AL2", 1.0)) for s in range(4)
    ]
    table = repetitions_table(runs)
    areas = [
        [roc_auc_score(LABELS, r.predictions.probabilities) for r in runs[i : i + 4]]
        for i in (0, 4)
    ]
    row = cells(table, name="AL1")
    assert (row["auc"], row["auc_sd"]) == (
        f"{np.mean(areas[0]):.3f}",
        f"{np.std(areas[0], ddof=1):.3f}",
    )
    assert row["runs"] == "4"
    blocked = cells(blocked_table(runs), first="AL1")
    expected = ttest_rel(*areas)
    assert blocked["difference"] == f"{np.mean(np.subtract(*areas)):+.3f}"
    assert blocked["p"] == ("<0.001" if expected.pvalue < 0.001 else f"{expected.pvalue:.3f}")
    ends = expected.confidence_interval()
    assert blocked["interval"] == f"{ends.low:.3f} to {ends.high:.3f}"


def test_other_splits_overlap_and_have_the_wider_interval(trial) -> None:
    def widths(same: bool) -> float:
        runs = [
            seeded(trial, n, s, w, **{"mcalc.split": "one" if same else f"{s}"})
            for n, w in (("AL1", 0.5), ("AL2", 1.0))
            for s in range(4)
        ]
        low, high = cells(blocked_table(runs), first="AL1")["interval"].split(" to ")
        return float(high) - float(low)

    # Nadeau and Bengio: 1/4 + 0.3/0.7 in place of 1/4
    assert widths(same=False) / widths(same=True) == pytest.approx(
        math.sqrt(1 + 4 * 3 / 7), rel=0.05
    )


def test_folds_are_pooled_where_all_are_there(trial) -> None:
    tags = {"mcalc.protocol": "cv"}
    folds = []
    for fold in range(3):
        rows = np.arange(N) % 3 == fold
        run = made(trial, "AL1", 1, params={"protocol.fold": fold, "protocol.folds": 3}, tags=tags)
        said = run.predictions
        part = Predictions(
            tuple(np.array(IDS)[rows]), LABELS[rows], said.probabilities[rows],
            tuple(np.array(PATIENTS)[rows]), said.logits[rows],
        )  # fmt: skip
        named = replace(run, name=f"AL1, protocol.fold={fold}", run_id=f"{fold}")
        folds.append(with_predictions(named, part))
    row = cells(repetitions_table(folds), name="AL1")
    assert row["pooled"] == f"{roc_auc_score(LABELS, predictions(1).probabilities):.3f}"
    assert cells(repetitions_table(folds[:2]), name="AL1")["pooled"] == NOT_RUN


def test_single_runs_have_no_repetitions(trial) -> None:
    assert repetitions_table([trial("AL1"), trial("AL2")]) is None
    assert blocked_table([trial("AL1"), trial("AL2")]) is None


# --- what is said ---------------------------------------------------------------------------------


def test_one_answer_for_all_and_no_better_than_one_answer_are_said(trial) -> None:
    every = trial("AL1", tn=30, fn=10, tp=0, fp=0)
    stuck = trial("AL2", tn=25, fn=5, tp=5, fp=5)
    text = " ".join(cautions([every, stuck]))
    assert "every lesion is called benign by 1 of 2 networks (AL1)" in text
    assert "No more accurate than always giving the commoner class: 1 of 2 networks (AL2)." in text
    good = " ".join(cautions([trial("AL1")]))
    assert "called benign" not in good
    assert "No more accurate" not in good


def test_a_split_file_that_keeps_validation_apart_is_not_said_to_stop_on_what_is_reported(
    trial,
) -> None:
    tags = {"mcalc.protocol": "paper", "mcalc.leak": "patients on both sides: 9"}
    params = {"protocol.split_file": "split.csv", "protocol.validation": None}
    new = with_validation(made(trial, "AL1", 1, tags=tags, params=params), 5)
    assert not any("both stops training" in text for text in cautions([new]))
    assert any("leaks" in text for text in cautions([new]))
    together = made(trial, "AL1", 1, tags=tags, params=params)
    assert any("both stops training" in text for text in cautions([together]))
    # a record before predictions of both were kept: other figures are of other lesions
    old = trial("AL1", tags=tags, params=params, metrics={"reported_val_auc": 0.123})
    assert not any("both stops training" in text for text in cautions([old]))
    said = old.predictions
    same = {"reported_val_auc": roc_auc_score(said.labels, said.probabilities)}
    assert any(
        "both stops" in t for t in cautions([trial("AL1", tags=tags, params=params, metrics=same)])
    )


def test_what_intervals_take_as_independent_is_said(trial) -> None:
    assert any("clustered by patient" in text for text in provenance([made(trial, "AL1", 1)]))
    (text,) = [t for t in provenance([trial("AL1")]) if t.startswith("Intervals")]
    assert "they take lesions as independent" in text


# --- discipline -----------------------------------------------------------------------------------


def under(trial, protocol: str, seed: int, worth: float, leak: str) -> RecordedTrial:
    run = seeded(trial, "AL3", seed, worth, **{"mcalc.protocol": protocol, "mcalc.leak": leak})
    params = {**run.params, "protocol.name": protocol}
    return replace(
        run, name=f"AL3 {protocol}, seed={seed}", params=params, run_id=f"{protocol}{seed}"
    )


def test_each_step_of_discipline_is_less_the_one_before_by_seed(trial) -> None:
    kinds = (
        ("patient", 0.3, "none"),
        ("paper_augment_first", 2.0, "patients on both sides: 9; copies of 3 images on both sides"),
        ("paper", 1.0, "patients on both sides: 4"),
    )
    runs = [
        under(trial, name, seed, worth, leak) for name, worth, leak in kinds for seed in range(3)
    ]
    # a seed that one protocol lacks counts nowhere
    runs.append(under(trial, "paper", 7, 3.0, "patients on both sides: 4"))
    table = discipline_table(runs)
    assert column(table, "protocol") == ("paper_augment_first", "paper", "patient")
    assert column(table, "leak") == ("patients and copies", "patients", "none")
    assert set(column(table, "runs")) == {"3"}
    areas = {
        name: [
            roc_auc_score(LABELS, r.predictions.probabilities)
            for r in runs
            if r.name.startswith(f"AL3 {name},")
        ][:3]
        for name, *_ in kinds
    }
    row = cells(table, protocol="patient")
    assert row["auc"] == f"{np.mean(areas['patient']):.3f}"
    assert row["auc_step"] == f"{np.mean(np.subtract(areas['patient'], areas['paper'])):+.3f}"
    first = cells(table, protocol="paper_augment_first")
    assert first["auc_step"] == first["p"] == NOT_RUN
    steps = {rung.protocol: rung.aucs for rung in rungs(runs)}
    assert ladder_figure(steps, "a title").axes[0].lines


def test_one_protocol_is_no_ladder(trial) -> None:
    assert discipline_table([made(trial, "AL1", 1), made(trial, "AL2", 2)]) is None


# --- what runs lack, and how they differ -------------------------------------------------------


def test_a_rate_that_one_of_several_runs_does_not_define_is_that_of_the_others(trial) -> None:
    """Precision of a run that calls nothing malignant is 0/0."""
    runs = [seeded(trial, "AL1", s, 1.0) for s in range(3)]
    nothing = replace(runs[0].predictions, probabilities=np.full(N, 0.1))
    runs[0] = with_predictions(runs[0], nothing)
    row = cells(build(6, {"alexnet": runs}), name="AL1 (3 runs)")
    each = [np.mean(LABELS[r.predictions.probabilities > 0.5]) for r in runs[1:]]
    assert row["precision"] == f"{np.mean(each):.4f}"
    assert row["precision_interval"] == f"SD {np.std(each, ddof=1):.3f}"
    alone = cells(build(6, {"alexnet": runs[:1]}), name="AL1")
    assert alone["precision"] == NOT_RUN


@pytest.mark.parametrize("key", ["seed", "protocol.seed", "protocol.fold", "protocol.repeat"])
def test_runs_named_by_nothing_but_their_repetition_are_one_configuration(trial, key: str) -> None:
    runs = []
    for value in range(3):
        run = made(trial, "mine", value, params={key: value})
        runs.append(replace(run, name=f"{key}={value}", run_id=f"{value}"))
    (only,) = configurations(runs)
    assert (only.name, len(only.trials)) == ("alexnet", 3)
    assert cells(repetitions_table(runs), name="alexnet")["runs"] == "3"


def test_each_trial_is_compared_with_the_baselines_of_its_own_training(trial) -> None:
    """The official lesions are the same for every seed, and what was trained on is not."""
    one, two = made(trial, "AL1", 1), made(trial, "AL2", 2)
    turned = tuple(
        replace(
            each,
            known={
                **each.known,
                "probability_size": repr(1 - float(each.known["probability_size"])),
            },
        )
        for each in two.evidence
    )
    two = replace(two, artifacts=replace(two.artifacts, evidence=turned))
    table = comparisons_table([one, two])
    size = [float(each.known["probability_size"]) for each in evidence()]
    area = roc_auc_score(LABELS, size)
    assert cells(table, first="AL1", second="crop size")["second_auc"] == f"{area:.3f}"
    assert cells(table, first="AL2", second="crop size")["second_auc"] == f"{1 - area:.3f}"


def test_trials_validated_on_other_lesions_are_ranked_as_configurations(trial) -> None:
    """By one AUC each the seed of the easiest lesions would win."""
    runs = []
    for name, worths in (("AL1", (0.2, 2.0)), ("AL2", (0.8, 2.5))):
        for seed, worth in enumerate(worths):
            run = seeded(trial, name, seed, 1.0)
            apart = predictions(seed + 20, worth, [f"V{seed} {i}" for i in range(N)])
            runs.append(replace(run, artifacts=replace(run.artifacts, validation=apart)))
    table = choosing_table(runs, Choice.youden)
    ranks = dict(zip(column(table, "name"), column(table, "rank"), strict=True))
    assert ranks == {"AL1, seed=0": "2", "AL1, seed=1": "2", "AL2, seed=0": "1", "AL2, seed=1": "1"}
    assert "Best by validation AUC, mean over seeds and folds: AL2." in " ".join(table.notes)
    alone = choosing_table(runs[:2], Choice.youden)
    assert set(column(alone, "rank")) == {NOT_RUN}
    assert "no AUC there ranks them" in " ".join(alone.notes)


def test_the_difference_to_the_paper_is_from_the_intervals_shown(trial) -> None:
    row = cells(build(1, {"alexnet": [made(trial, "AL1", 1)]}), name="AL1")
    share, paper = float(row["accuracy"]), 805 / 901
    low, high = float(row["accuracy_low"]), float(row["accuracy_high"])
    ends = binomtest(805, 901).proportion_ci(method="wilson")
    expected = share - paper - math.hypot(share - low, ends.high - paper)
    assert float(row["accuracy_difference_low"]) == pytest.approx(expected, abs=2e-4)
    expected = share - paper + math.hypot(high - share, paper - ends.low)
    assert float(row["accuracy_difference_high"]) == pytest.approx(expected, abs=2e-4)


def test_so_many_networks_are_not_compared_with_one_another_and_it_is_said(
    trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparisons, "MOST_NETWORKS", 3)
    few = comparisons_table([made(trial, f"AL{i}", i) for i in (1, 2, 3)])
    assert few is not None
    assert column(few, "second").count("crop size") == 3
    assert len(few.rows) == 3 + 3
    many = comparisons_table([made(trial, f"AL{i}", i) for i in (1, 2, 3, 4)])
    assert many is not None
    assert set(column(many, "second")) == {"crop size"}
    assert "4 networks report the same lesions. Above 3" in " ".join(many.notes)
