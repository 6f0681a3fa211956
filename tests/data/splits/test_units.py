"""Scores of findings, breasts and patients from those of their images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import make_lesion
from scipy.special import expit

from mcalc.config import DataConfig, MixedLabels, Region, Unit, UnitScore
from mcalc.data.records import Lesion, Pathology, Side, View
from mcalc.data.splits.samples import Sample, make_samples
from mcalc.data.splits.units import log_odds, score_units
from mcalc.errors import UserError
from mcalc.results import Predictions


def lesion(patient: int, view: View, number: int, *, malignant: bool = False) -> Lesion:
    return replace(
        make_lesion(patient),
        id=f"Calc_P_{patient:05d}_LEFT_{view}_{number}",
        patient=f"P_{patient:05d}",
        side=Side.LEFT,
        view=view,
        abnormality=number,
        pathology=Pathology.MALIGNANT if malignant else Pathology.BENIGN,
    )


TWO_VIEWS = (
    lesion(1, View.CC, 1, malignant=True),
    lesion(1, View.MLO, 1, malignant=True),
    lesion(1, View.CC, 2),  # in one view alone
    lesion(2, View.CC, 1),
    lesion(2, View.MLO, 1, malignant=True),  # the views differ
)
BY_FINDING = DataConfig(unit=Unit.finding)


def test_both_views_of_a_finding_are_one_unit() -> None:
    samples = make_samples(TWO_VIEWS, range(5), BY_FINDING).samples
    assert [sample.unit for sample in samples] == [
        "P_00001_LEFT_1", "P_00001_LEFT_1", "P_00001_LEFT_2", "P_00002_LEFT_1", "P_00002_LEFT_1",
    ]  # fmt: skip
    probabilities = np.array([0.2, 0.6, 0.3, 0.1, 0.5])
    said = Predictions(
        tuple(sample.id for sample in samples),
        np.array([sample.label for sample in samples]),
        probabilities,
        logits=np.column_stack([np.zeros(5), np.log(probabilities / (1 - probabilities))]),
    )
    scored = score_units(said, samples, UnitScore.mean)
    assert scored.labels.tolist() == [1, 0, 1]
    np.testing.assert_allclose(scored.probabilities, [0.4, 0.3, 0.3])
    assert scored.patients == ("P_00001", "P_00001", "P_00002")
    np.testing.assert_allclose(expit(scored.logits[:, 0]), scored.probabilities)
    largest = score_units(said, samples, UnitScore.max)
    np.testing.assert_allclose(expit(largest.logits[:, 0]), [0.6, 0.3, 0.5])


def test_views_that_differ_follow_the_rule_for_mixed_labels() -> None:
    excluded = make_samples(
        TWO_VIEWS, range(5), replace(BY_FINDING, mixed_labels=MixedLabels.exclude)
    )
    assert {sample.unit for sample in excluded.samples} == {"P_00001_LEFT_1", "P_00001_LEFT_2"}
    assert "1 of 3 findings excluded, with 2 lesions" in excluded.warnings[0]


def test_a_table_may_name_findings_within_a_breast() -> None:
    named = [
        replace(entry, mammogram=f"image {i}", finding_id="a")
        for i, entry in enumerate(TWO_VIEWS[:2])
    ]
    samples = make_samples(named, range(2), BY_FINDING).samples
    assert {sample.unit for sample in samples} == {"P_00001_LEFT_a"}


@pytest.mark.parametrize("change", [{"side": None}, {"mammogram": "image"}])
def test_an_unknown_finding_is_refused(change: dict[str, object]) -> None:
    unknown = replace(TWO_VIEWS[0], **change)  # type: ignore[arg-type]
    assert unknown.finding is None
    with pytest.raises(UserError, match="add a column `finding` to the table of the data"):
        make_samples([unknown], range(1), BY_FINDING)


def test_images_with_several_findings_are_refused() -> None:
    full = replace(BY_FINDING, region=Region.full)
    with pytest.raises(UserError, match=r"1 images show several findings .*P_00001_LEFT_CC"):
        make_samples(TWO_VIEWS, (0, 1, 0, 2, 3), full)


def test_log_odds_keep_what_probabilities_lose() -> None:
    """Softmax gives 1.0 from a margin of 37 on; the order beyond it is that of the logits."""
    logits = np.array([[0.0, 40.0], [0.0, 50.0], [3.0, -60.0]])
    np.testing.assert_allclose(log_odds(logits), [40, 50, -63])
    three = np.array([[1.0, 2.0, 0.5]])
    softmax = np.exp(three) / np.exp(three).sum()
    np.testing.assert_allclose(expit(log_odds(three)), softmax[:, 1])
    samples = [
        Sample(id=f"s{i}", image=i, label=1, patient="p", unit="u" if i < 2 else "v")
        for i in range(3)
    ]
    said = Predictions(
        tuple(s.id for s in samples), np.ones(3, dtype=np.int64), expit(log_odds(logits)),
        logits=logits,
    )  # fmt: skip
    odds = score_units(said, samples, UnitScore.mean).logits[:, 0]
    # of (1 - p) the mean of e^-40 and e^-50
    assert odds[0] == pytest.approx(-np.log((np.exp(-40) + np.exp(-50)) / 2), rel=1e-12)
    assert odds[1] == pytest.approx(-63)
