"""What is kept of a trial: figures against scikit-learn, and a sheet nobody picked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from builders import make_lesion
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from mcalc.compose import compose_config
from mcalc.config import ProtocolName
from mcalc.data.prepare import Prepared
from mcalc.data.protocols import split
from mcalc.data.ready import ReadyData
from mcalc.data.samples import lesion_samples
from mcalc.recording import config_yaml, final_metrics, sheet_of
from mcalc.results import Predictions, TrialResult


@pytest.fixture
def ready() -> ReadyData:
    lesions = tuple(make_lesion(i, malignant=i % 3 == 0, crop=Path("crop.png")) for i in range(120))
    draw = np.random.default_rng(0)
    # malignant crops are twice as large: the size alone tells them apart
    sizes = np.array([[100, 90] if entry.label else [50, 45] for entry in lesions])
    prepared = Prepared(
        lesions=lesions,
        images=draw.integers(0, 256, (120, 8, 8), dtype=np.uint8),
        native_sizes=sizes + draw.integers(0, 5, sizes.shape),
        defects=(),
    )
    samples = lesion_samples(lesions)
    return ReadyData(
        prepared, tuple(samples), split(samples, ProtocolName.paper, 0.3, 0), "f", "test", ()
    )


def result(ready: ReadyData, seed: int) -> TrialResult:
    reported = [ready.samples[i] for i in ready.split.reported]
    labels = np.array([sample.label for sample in reported])
    noise = np.random.default_rng(seed).normal(0, 1, len(labels))
    return TrialResult(
        name="AL1",
        key="key",
        patience=15,
        iterations=50,
        stop_reason="patience",
        reported_iteration=40,
        predictions=Predictions(
            tuple(sample.id for sample in reported),
            labels,
            1 / (1 + np.exp(-(labels - 0.5 + noise))),
        ),
        curve=(),
        seconds=12.5,
    )


def test_final_figures_agree_with_scikit_learn(ready: ReadyData) -> None:
    done = result(ready, 1)
    truth, probability = done.predictions.labels, done.predictions.probabilities
    called = probability > 0.5
    metrics = final_metrics(done, ready)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, called))
    assert metrics["auc"] == pytest.approx(roc_auc_score(truth, probability))
    assert metrics["recall"] == pytest.approx(recall_score(truth, called))
    assert metrics["precision"] == pytest.approx(precision_score(truth, called))
    assert metrics["specificity"] == pytest.approx(recall_score(1 - truth, ~called))
    assert metrics["f_measure"] == pytest.approx(f1_score(truth, called))
    assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
    assert metrics["auc_low"] < metrics["auc"] < metrics["auc_high"]
    assert metrics["majority_rate"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert metrics["size_auc"] == 1.0, "here the crop's size alone tells the classes apart"
    assert (metrics["iterations"], metrics["reported_iteration"]) == (50, 40)


def test_the_sheet_shows_the_same_lesions_whatever_the_result(ready: ReadyData) -> None:
    one, two = (result(ready, seed).predictions for seed in (1, 2))
    assert sheet_of(one) == sheet_of(two)
    assert len(set(sheet_of(one))) == 12
    assert sum(one.labels[sheet_of(one)]) == 6


def test_the_recorded_config_can_be_read_back() -> None:
    config = compose_config(["backbone=squeezenet", "head.weight_lr=7", "stopping.patience=5"])
    plain = yaml.safe_load(config_yaml(config))
    assert plain["head"]["weight_lr"] == 7
    assert plain["stopping"] == {"patience": 5, "network": "last"}
    assert plain["data"]["source"] == "phantom"
    assert "job" not in plain
