from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from report_tables import column, with_predictions
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from mcalc.paper.tables import PAPER_TRIALS
from mcalc.report.formats import NOT_RUN, as_text
from mcalc.report.paper_tables import TABLES, Table, build, further_scores
from mcalc.report.rows import single_rows
from mcalc.results import Predictions


def row(table: Table, name: str, source: str | None = None) -> dict[str, str]:
    """Cells of a trial's row by column key."""
    keys = [column.key for column in table.columns]
    found = [dict(zip(keys, cells, strict=True)) for cells in table.rows]
    (one,) = [cells for cells in found if cells["name"] == name and cells.get("source") == source]
    return one


def test_table_1_sets_accuracy_and_its_interval_beside_the_papers(trial) -> None:
    al3 = trial("AL3", tn=30, fn=4, tp=12, fp=10)
    cells = row(build(1, {"alexnet": [al3]}), "AL3")
    ours = binomtest(42, 56).proportion_ci(method="wilson")
    paper = binomtest(854, 901).proportion_ci(method="wilson")
    assert cells["accuracy"] == "0.7500"
    assert (cells["accuracy_low"], cells["accuracy_high"]) == (
        f"{ours.low:.6f}",
        f"{ours.high:.6f}",
    )
    assert cells["accuracy_interval"] == f"{ours.low:.3f}–{ours.high:.3f}"
    assert cells["accuracy_paper"] == "0.9478"
    assert cells["accuracy_paper_low"] == f"{paper.low:.3f}"
    assert cells["accuracy_paper_high"] == f"{paper.high:.3f}"
    assert cells["accuracy_difference"] == "-0.1978"
    area = roc_auc_score(al3.predictions.labels, al3.predictions.probabilities)
    assert cells["auc"] == f"{area:.3f}"
    assert [cells[key] for key in ("patience", "weight_lr", "bias_lr", "weight_l2")] == [
        "15", "15", "20", "1",
    ]  # fmt: skip


def test_every_row_of_the_paper_is_shown_run_or_not(trial) -> None:
    record = {"alexnet": [trial("AL2")], "googlenet": [trial("GL10")]}
    alexnet, googlenet = ([t.name for t in PAPER_TRIALS[n]] for n in ("alexnet", "googlenet"))
    assert list(column(build(1, record), "name")) == alexnet
    assert list(column(build(2, record), "name")) == googlenet
    assert list(column(build(5, record), "name")) == [n for n in alexnet + googlenet for _ in "ab"]
    assert list(column(build(6, record), "name")) == alexnet + googlenet
    for number in TABLES:
        assert any("9 of 10 trials not run" in note for note in build(number, record).notes)
    missing = row(build(1, record), "AL1")
    assert missing["accuracy"] == missing["accuracy_difference"] == missing["auc"] == NOT_RUN
    assert missing["accuracy_paper"] == "0.8935"
    assert missing["patience"] == "15"  # what would be run


def test_nothing_run_still_gives_the_papers_side() -> None:
    for number in TABLES:
        table = build(number, {})
        assert table.provenance == ()
        assert NOT_RUN in as_text(table)
    assert row(build(5, {}), "GL3", "paper")["fn"] == "185"


def test_table_5_gives_counts_and_shares_of_each_set(trial) -> None:
    table = build(5, {"googlenet": [trial("GL1", tn=5, fn=2, tp=10, fp=3)]})
    ours, paper = row(table, "GL1", "ours"), row(table, "GL1", "paper")
    keys = ("n", "tn", "fn", "tp", "fp", "tn_share", "fn_share", "tp_share", "fp_share", "accuracy")
    assert [ours[key] for key in keys] == [
        "20", "5", "2", "10", "3", "0.250", "0.100", "0.500", "0.150", "0.7500",
    ]  # fmt: skip
    assert [paper[key] for key in keys[:5]] == ["901", "389", "49", "348", "115"]
    assert paper["tn_share"] == f"{389 / 901:.3f}"
    assert paper["accuracy"] == "0.8179"


def test_table_6_gives_four_rates_with_differences(trial) -> None:
    cells = row(build(6, {"alexnet": [trial("AL1", tn=30, fn=4, tp=12, fp=8)]}), "AL1")
    # 12 of 16 malignant; 12 of 20 called so; 30 of 38 benign; 24 / 36
    expected = {"recall": 0.75, "precision": 0.6, "specificity": 30 / 38, "f_measure": 24 / 36}
    published = {"recall": 0.9194, "precision": 0.8508, "specificity": 0.873, "f_measure": 0.8838}
    for key, value in expected.items():
        assert cells[key] == f"{value:.4f}"
        assert float(cells[f"{key}_difference"]) == pytest.approx(value - published[key], abs=6e-5)
    assert cells["specificity_paper"] == "0.8730"  # as printed


def test_undefined_rates_are_dashes_never_zero(trial) -> None:
    cells = row(build(6, {"alexnet": [trial("AL1", tn=9, fn=3, tp=0, fp=0)]}), "AL1")
    assert cells["precision"] == cells["precision_difference"] == NOT_RUN
    assert cells["recall"] == "0.0000"


def test_numbers_come_from_the_predictions_not_from_recorded_floats(trial) -> None:
    lying = trial("AL1", tn=30, fn=4, tp=12, fp=10, metrics={"accuracy": 0.99, "recall": 1.0})
    table = build(1, {"alexnet": [lying]})
    assert row(table, "AL1")["accuracy"] == "0.7500"
    assert any("0.9900 is not that of its predictions, 0.7500" in n for n in table.provenance)


def test_the_papers_own_counts_are_no_difference_either_way(trial) -> None:
    same = trial("AL1", tn=440, fn=32, tp=365, fp=64)
    # 805/901 is 0.89345 and 440/504 is 0.87302: a hair below and above what is printed
    assert row(build(1, {"alexnet": [same]}), "AL1")["accuracy_difference"] == "0.0000"
    assert row(build(6, {"alexnet": [same]}), "AL1")["specificity_difference"] == "0.0000"


def test_a_trial_that_is_not_the_papers_row_is_named(trial) -> None:
    other = trial("AL1", params={"head.weight_lr": 3.5, "backbone.name": "squeezenet"})
    notes = " ".join(build(1, {"alexnet": [other]}).notes)
    assert "AL1 is not the paper's row" in notes
    assert "head.weight_lr=3.5 (paper: 1)" in notes
    assert "backbone.name=squeezenet (paper: alexnet)" in notes
    assert "not the paper's row" not in " ".join(build(1, {"alexnet": [trial("AL1")]}).notes)


def test_trials_that_the_paper_does_not_have_are_kept(trial) -> None:
    mine = trial("mine", params={"stopping.patience": None, "head.weight_lr": 7.0})
    table = build(1, {"alexnet": [mine]})
    cells = row(table, "mine")
    assert (cells["patience"], cells["weight_lr"], cells["bias_lr"]) == ("Inf", "7", NOT_RUN)
    assert cells["accuracy"] == "0.7500"
    assert cells["accuracy_paper"] == cells["accuracy_difference"] == NOT_RUN
    assert "Not in the paper: mine." in table.notes
    table = build(5, {"alexnet": [mine]})
    assert column(table, "name").count("mine") == 1, "no row for what the paper has not"


def test_two_seeds_of_one_row_are_its_mean_and_sd(trial) -> None:
    both = [
        trial("AL1, seed=0"),
        replace(trial("AL1, seed=1", tn=36, fp=4, params={"seed": 1}), run_id="second"),
    ]
    table = build(1, {"alexnet": both})
    assert column(table, "name")[:2] == ("AL1 (2 runs)", "AL2")
    # 42 and 48 of 56 are right
    cells = row(table, "AL1 (2 runs)")
    assert cells["accuracy"] == f"{45 / 56:.4f}"
    assert cells["accuracy_interval"] == f"SD {6 / 56 / 2**0.5:.4f}"
    assert cells["accuracy_difference"] == f"{45 / 56 - 0.8935:+.4f}"
    (note,) = [note for note in table.notes if note.startswith("Mean accuracy")]
    assert "over the 1 row run: ours 0.8036" in note, "each row once, however many seeds"
    assert [r.label for r in single_rows("alexnet", both)][:2] == ["AL1 (seed 0)", "AL1 (seed 1)"]


def test_means_are_over_the_same_rows(trial) -> None:
    record = {"alexnet": [trial("AL1"), trial("AL4", tn=50, fn=0, tp=6, fp=0)]}
    (note,) = [note for note in build(1, record).notes if note.startswith("Mean accuracy")]
    # 42/56 and 56/56; 0.8935 and 0.9223; the ten printed accuracies sum to 8.9853
    assert "2 rows run: ours 0.8750, the paper's 0.9079; all 10 rows of the paper 0.8985" in note


def test_tables_fit_120_columns(trial) -> None:
    record = {
        network: [trial(t.name, tn=12345, fn=2345, tp=34567, fp=4567) for t in rows]
        for network, rows in PAPER_TRIALS.items()
    }
    for number in TABLES:
        assert max(map(len, as_text(build(number, record)).splitlines())) <= 120


def test_csv_rows_carry_their_provenance(trial) -> None:
    warned = trial("AL1", warnings=("first", "second"), tags={"mcalc.leak": "patients: 3"})
    cells = row(build(1, {"alexnet": [warned]}), "AL1")
    assert cells["run_id"] == "run-AL1"
    assert cells["leak"] == "patients: 3"
    assert cells["warnings"] == "first; second"
    assert cells["fingerprint"] == "abc123"


def test_one_class_has_no_area(trial) -> None:
    one = trial("AL1")
    only_benign = Predictions(
        ids=("a", "b"), labels=np.array([0, 0]), probabilities=np.array([0.1, 0.9])
    )
    cells = row(build(1, {"alexnet": [with_predictions(one, only_benign)]}), "AL1")
    assert cells["auc"] == cells["auc_low"] == NOT_RUN
    assert not math.isnan(float(cells["accuracy"]))


def test_a_score_whose_package_is_gone_is_shown_as_it_was_recorded(trial) -> None:
    named = {"metrics": ["partial_auc"]}
    trials = [
        trial("AL1", params=named, metrics={"partial_auc": 0.61232}),
        trial("AL2", params=named),
        trial("AL3"),
    ]
    table = further_scores(trials)
    assert table is not None
    assert column(table, "partial_auc") == ("0.6123", NOT_RUN, NOT_RUN)
    (note,) = [each for each in table.notes if "partial_auc" in each]
    assert note == "partial_auc: as recorded with the trial; its package is not installed here."
    assert further_scores([]) is None


def test_there_is_no_other_table() -> None:
    with pytest.raises(ValueError, match="table 3"):
        build(3, {})


def test_which_network_was_run_is_said_and_matlabs_is_the_papers(trial) -> None:
    matlabs = trial("AL1", params={"backbone.name": "alexnet_bvlc"})
    for number in (1, 5, 6):
        notes = " ".join(build(number, {"alexnet": [matlabs]}).notes)
        assert "AlexNet run: alexnet_bvlc, which is Caffe's and MATLAB's." in notes
        assert "not the paper's row" not in notes
        notes = " ".join(build(number, {"alexnet": [trial("AL1")]}).notes)
        assert "AlexNet run: alexnet, which is torchvision's and not MATLAB's" in notes
    both = [matlabs, trial("AL2")]
    assert sum("AlexNet run: " in note for note in build(1, {"alexnet": both}).notes) == 2
    assert not any(" run: " in note for note in build(1, {}).notes)
    swapped = trial("AL1", params={"backbone.name": "googlenet_bvlc"})
    notes = " ".join(build(1, {"alexnet": [swapped]}).notes)
    assert "backbone.name=googlenet_bvlc (paper: alexnet)" in notes
