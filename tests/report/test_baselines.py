"""The baselines' block, and what reports say of units and copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_tables import column, with_predictions
from sklearn.metrics import roc_auc_score

from mcalc.report.baselines import baselines_table
from mcalc.report.cautions import cautions, provenance
from mcalc.report.first_screen import Verdict
from mcalc.report.formats import NOT_RUN, as_text
from mcalc.report.html import page
from mcalc.report.paper_tables import TABLES, build

RECORDED = {
    "majority_accuracy": 0.7143,
    "size_auc": 0.7021,
    "size_auc_low": 0.65,
    "size_auc_high": 0.754,
    "size_accuracy": 0.69,
    "descriptors_auc": 0.8,
    "descriptors_auc_low": 0.75,
    "descriptors_auc_high": 0.85,
    "descriptors_accuracy": 0.73,
    "descriptors_assessment_auc": 0.88,
    "descriptors_assessment_accuracy": 0.79,
}


def test_each_baseline_stands_above_the_networks_of_its_split(trial) -> None:
    one, two = trial("AL1", metrics=RECORDED), trial("AL2", tp=13, fn=3, metrics=RECORDED)
    two = with_predictions(two, replace(two.predictions, ids=one.predictions.ids))
    table = baselines_table([one, two])
    assert column(table, "auc")[:4] == (NOT_RUN, "0.702", "0.800", "0.880")
    assert column(table, "auc_low")[1:4] == ("0.650", "0.750", NOT_RUN)
    assert column(table, "accuracy")[:4] == ("0.714", "0.690", "0.730", "0.790")
    mean = np.mean(
        [roc_auc_score(t.predictions.labels, t.predictions.probabilities) for t in (one, two)]
    )
    assert column(table, "scorer")[4] == "networks, mean of 2"
    assert column(table, "auc")[4] == f"{mean:.3f}"
    # 30 + 12 and 30 + 13 of 56 are right
    assert column(table, "accuracy")[4] == f"{(42 + 43) / 2 / 56:.3f}"
    assert set(column(table, "n")) == {"56"}


def test_trials_of_other_splits_have_rows_of_their_own(trial) -> None:
    other = {**RECORDED, "size_auc": 0.6}
    tags = {"mcalc.split": "other"}
    table = baselines_table(
        [trial("AL1", metrics=RECORDED), trial("GL1", metrics=other, tags=tags)]
    )
    assert column(table, "auc")[1::5] == ("0.702", "0.600")
    assert column(table, "trials")[::5] == ("AL1", "GL1")


def test_what_the_data_does_not_say_is_a_dash_and_explained(trial) -> None:
    table = baselines_table([trial("AL1", metrics={"size_auc": 0.7, "size_unknown": 12})])
    assert column(table, "auc")[2:4] == (NOT_RUN, NOT_RUN)
    text = as_text(table)
    assert "unknown for up to 12 reported lesions" in text
    assert "lacks what the baseline needs" in text


def test_the_page_shows_the_block(trial) -> None:
    record = {"alexnet": [trial("AL1", metrics=RECORDED)]}
    tables = {number: build(number, record) for number in TABLES}
    further = {"baselines": baselines_table(record["alexnet"])}
    html = page(tables, further, record, Verdict("said"))
    assert '<section id="baselines">' in html
    assert "descriptors and BI-RADS assessment" in html
    assert html.count("Baselines on the same split (scored: lesions)") == 1


def test_every_table_says_what_the_descriptors_reach(trial) -> None:
    text = "\n".join(provenance([trial("AL1", metrics=RECORDED)]))
    assert "without the BI-RADS assessment AUC 0.800 (0.750–0.850), with it AUC 0.880." in text


@pytest.mark.parametrize(
    ("unit", "plural"), [("breast", "breasts"), ("image", "images"), ("patient", "patients")]
)
def test_units_are_called_by_their_name(trial, unit: str, plural: str) -> None:
    trials = [trial("AL1", params={"data.unit": unit}, metrics=RECORDED)]
    text = "\n".join(provenance(trials))
    assert f"n = 56 {plural} (40 benign" in text
    assert f"they take {plural} as independent" in text
    assert f"(scored: {plural})" in baselines_table(trials).title


def test_copies_on_both_sides_are_the_first_thing_said(trial) -> None:
    leak = "patients on both sides: 9; copies of 7 images on both sides"
    tags = {"mcalc.protocol": "paper_augment_first", "mcalc.leak": leak}
    (caution,) = cautions([trial("AL1", tags=tags)])
    assert leak in caution
    assert "augmented before the split" in caution
    assert "n = 56 lesions and copies of lesions" in "\n".join(
        provenance([trial("AL1", tags=tags)])
    )


def test_the_papers_protocol_with_a_validation_part_is_not_called_published(trial) -> None:
    tags = {"mcalc.protocol": "paper", "mcalc.leak": "patients on both sides: 9"}
    apart = trial("AL1", tags=tags, params={"protocol.validation": 0.15})
    assert cautions([apart]) == ("The split leaks: patients on both sides: 9.",)
    (caution,) = cautions([trial("AL1", tags=tags)])
    assert "both stops training and is reported" in caution


def test_many_splits_are_shown_by_their_means(trial) -> None:
    folds = [
        trial(
            f"fold {i}",
            metrics={**RECORDED, "size_auc": 0.60 + 0.05 * i},
            tags={"mcalc.split": f"fold {i}"},
        )
        for i in range(5)
    ]
    table = baselines_table(folds)
    assert len(table.rows) == 5
    assert column(table, "auc")[1:4] == ("0.700", "0.800", "0.880")
    assert set(column(table, "auc_low")) == {NOT_RUN}
    assert set(column(table, "trials")) == {"mean over 5 splits"}
    assert column(table, "scorer")[4] == "networks, mean of 5"


def test_no_trial_no_rows() -> None:
    assert baselines_table([]).rows == ()
