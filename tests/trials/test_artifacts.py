"""What is kept of a trial: figures against scikit-learn, and a sheet nobody picked by hand."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from builders import make_lesion
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from mcalc.config import Config, DataConfig, ProtocolConfig, ProtocolName, Unit, UnitScore
from mcalc.config.compose import compose_config
from mcalc.data.images.prepare import Prepared
from mcalc.data.pipeline import PreparedData, split_samples
from mcalc.data.splits import Split
from mcalc.data.splits.samples import make_samples
from mcalc.results import Predictions, TrialResult
from mcalc.trials.artifacts import (
    baselines_of,
    config_yaml,
    final_metrics,
    pictures_of,
    sheet_of,
    write_artifacts,
)


def made_ready(
    protocol: ProtocolName = ProtocolName.paper, unit: Unit = Unit.lesion, a_patient: int = 1
) -> PreparedData:
    lesions = tuple(
        make_lesion(
            i // a_patient,
            number=i % a_patient + 1,
            malignant=i // a_patient % 3 == 0,
            crop=Path("crop.png"),
        )
        for i in range(120)
    )
    draw = np.random.default_rng(0)
    # malignant crops are twice as large: the size alone tells them apart
    sizes = np.array([[100, 90] if entry.label else [50, 45] for entry in lesions])
    prepared = Prepared(
        lesions=lesions,
        images=draw.integers(0, 256, (120, 8, 8), dtype=np.uint8),
        native_sizes=sizes + draw.integers(0, 5, sizes.shape),
        defects=(),
        positions=tuple(range(120)),
    )
    data = replace(DataConfig(), unit=unit)
    samples = make_samples(lesions, prepared.positions, data).samples
    done = split_samples(samples, Config(data=data, protocol=ProtocolConfig(protocol)))
    return PreparedData(prepared, done.samples, done.split, "test", (), UnitScore.mean)


@pytest.fixture
def ready() -> PreparedData:
    return made_ready()


def result(ready: PreparedData, seed: int) -> TrialResult:
    reported = [ready.samples[i] for i in ready.split.reported]
    labels = np.array([sample.label for sample in reported])
    odds = labels - 0.5 + np.random.default_rng(seed).normal(0, 1, len(labels))
    return TrialResult(
        name="AL1",
        key="key",
        iterations=50,
        stop_reason="patience",
        reported_iteration=40,
        predictions=Predictions(
            tuple(sample.id for sample in reported),
            labels,
            1 / (1 + np.exp(-odds)),
            logits=np.column_stack([np.zeros(len(labels)), odds]),
        ),
        curve=(),
        seconds=12.5,
    )


def test_final_figures_agree_with_scikit_learn(ready: PreparedData) -> None:
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
    assert metrics["n"] == len(truth)
    assert metrics["majority_accuracy"] == pytest.approx(1 - truth.mean()), "benign is commoner"
    assert metrics["size_auc"] == 1.0, "here the crop's size alone tells the classes apart"
    assert (metrics["iterations"], metrics["reported_iteration"]) == (50, 40)


def test_baselines_are_fitted_on_what_is_trained_on() -> None:
    ready = made_ready()
    validation = tuple(ready.split.validation)
    sizes = ready.prepared.native_sizes.copy()
    # in what stops training, size says the contrary of what it says in training
    for i in validation:
        sizes[ready.samples[i].image] = 140 - sizes[ready.samples[i].image]
    ready = replace(ready, prepared=replace(ready.prepared, native_sizes=sizes))
    assert set(ready.split.reported) == set(validation)
    found = baselines_of(ready)
    assert found["size_auc"] == 0.0, "the training part's rule, turned round"
    share = np.mean([ready.samples[i].label for i in ready.split.train])
    assert share < 0.5
    benign = np.mean([not ready.samples[i].label for i in ready.split.reported])
    assert found["majority_accuracy"] == pytest.approx(benign)


def test_the_sheet_shows_the_same_lesions_whatever_the_result(ready: PreparedData) -> None:
    one, two = (result(ready, seed).predictions for seed in (1, 2))
    assert sheet_of(one, one.ids) == sheet_of(two, two.ids)
    assert len(set(sheet_of(one, one.ids))) == 12
    assert sum(one.labels[sheet_of(one, one.ids)]) == 6


def test_the_recorded_config_can_be_read_back() -> None:
    config = compose_config(["backbone=squeezenet", "head.weight_lr=7", "stopping.patience=5"])
    plain = yaml.safe_load(config_yaml(config))
    assert plain["head"]["weight_lr"] == 7
    assert plain["stopping"] == {"patience": 5, "network": "last"}
    assert plain["data"]["source"] == "phantom"
    assert "job" not in plain


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        (
            "postgresql+psycopg://ann:se-cret@db:5432/mcalc",
            "postgresql+psycopg://ann:***@db:5432/mcalc",
        ),
        ("https://ann:se-cret@tracking.example/x", "https://ann:***@tracking.example/x"),
        ("host=db user=ann password='se cret'", "host=db user=ann password=***"),
        ("se-cret@db", "***@db"),
    ],
)
@pytest.mark.parametrize("key", ["storage", "uri"])
def test_the_recorded_config_has_no_password_and_can_be_read_back(
    key: str, address: str, kept: str
) -> None:
    config = compose_config([])
    if key == "storage":
        config = replace(config, storage=address)
    else:
        config = replace(config, tracking=replace(config.tracking, uri=address))
    text = config_yaml(config)
    assert not re.search("se.cret", text)
    plain = yaml.safe_load(text)
    assert {**plain, **plain["tracking"]}[key] == kept


def test_a_trial_is_scored_by_unit() -> None:
    ready = made_ready(unit=Unit.breast, a_patient=4)
    done = result(ready, 1)
    metrics = final_metrics(done, ready)
    by_breast: dict[str, list[int]] = {}
    breast_of = {sample.id: sample.unit for sample in ready.samples}
    for i, name in enumerate(done.predictions.ids):
        by_breast.setdefault(breast_of[name], []).append(i)
    truth = [int(done.predictions.labels[rows].max()) for rows in by_breast.values()]
    means = [float(done.predictions.probabilities[rows].mean()) for rows in by_breast.values()]
    assert metrics["n"] == len(truth) < len(done.predictions.labels)
    assert metrics["auc"] == pytest.approx(roc_auc_score(truth, means))
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, np.array(means) > 0.5))
    assert metrics["tn"] + metrics["fn"] + metrics["tp"] + metrics["fp"] == len(truth)


def test_baselines_are_fitted_once_for_all_trials_of_a_split(ready: PreparedData) -> None:
    assert baselines_of(ready) is baselines_of(ready)
    one, two = (final_metrics(result(ready, seed), ready) for seed in (1, 2))
    assert one["auc"] != two["auc"]
    for name in baselines_of(ready):
        assert one[name] == pytest.approx(two[name], nan_ok=True, rel=0)


class Kept:
    """What a trial's record was given."""

    def __init__(self) -> None:
        self.predictions: Predictions | None = None
        self.pictures: dict[str, np.ndarray] = {}
        self.figures: list[str] = []
        self.texts: dict[str, str] = {}
        self.subsets: dict[str, Predictions] = {}

    def table(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def predictions_of(self, subset: Predictions, name: str) -> None:
        self.subsets[name] = subset

    def text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def curve(self, curve: object) -> None:
        assert curve == ()

    def figure(self, figure: object, name: str) -> None:
        self.figures.append(name)

    def picture(self, figure: object, name: str) -> None:
        self.figures.append(f"{name}.png")

    def crops(self, crops: dict[str, np.ndarray]) -> None:
        self.pictures = crops

    def masks(self, masks: dict[str, np.ndarray]) -> None:
        self.outlines = dict(masks)


def test_outlines_are_kept_of_the_lesions_whose_crops_are(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), dtype=np.uint8)
    cv2.ellipse(mask, (30, 25), (20, 10), 0, 0, 360, 255, -1)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    cv2.imwrite(str(tmp_path / "crop.png"), np.full((21, 41), 90, np.uint8))
    ready = made_ready()
    lesions = tuple(
        replace(each, crop=tmp_path / "crop.png", mask=tmp_path / "mask.png" if i % 2 else None)
        for i, each in enumerate(ready.prepared.lesions)
    )
    ready = replace(ready, prepared=replace(ready.prepared, lesions=lesions), settings=DataConfig())
    kept = Kept()
    write_artifacts(kept, result(ready, 1), ready)  # type: ignore[arg-type]
    with_mask = {each.id for each in lesions if each.mask}
    assert set(kept.outlines) == set(kept.pictures) & with_mask
    assert 0 < len(kept.outlines) < len(kept.pictures)
    for outline in kept.outlines.values():
        assert outline.shape == (8, 8)
        assert set(np.unique(outline)) == {0, 255}
        assert outline[4, 4] == 255
        assert outline[0, 0] == 0, "the corner of an ellipse's box is beside it"


def test_what_is_written_is_by_unit_with_one_picture_of_each_shown() -> None:
    ready = made_ready(unit=Unit.patient, a_patient=4)
    kept = Kept()
    write_artifacts(kept, result(ready, 1), ready)  # type: ignore[arg-type]
    assert kept.predictions is not None
    reported = {ready.samples[i].unit for i in ready.split.reported}
    assert set(kept.predictions.ids) == reported
    assert len(kept.predictions.ids) == len(reported)
    assert kept.figures == ["curve.png", "confusion.png", "crops.png"]
    for name, picture in kept.pictures.items():
        own = [ready.prepared.images[e.image] for e in ready.samples if e.unit == name]
        assert any(np.array_equal(picture, image) for image in own)


def test_copies_are_reported_each_and_shown_never() -> None:
    ready = made_ready(ProtocolName.paper_augment_first)
    done = result(ready, 1)
    metrics = final_metrics(done, ready)
    assert metrics["n"] == len(ready.split.reported)
    copies = {ready.samples[i].unit for i in ready.split.reported if ready.samples[i].copy}
    assert copies
    assert not copies & set(pictures_of(ready))


def rows_of(kept: Kept, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(kept.texts[name])))


def test_the_record_holds_what_inference_needs() -> None:
    ready = made_ready(ProtocolName.patient, a_patient=3)
    ready = replace(ready, split=apart(ready))
    done = with_validation(result(ready, 1), ready)
    kept = Kept()
    write_artifacts(kept, done, ready)  # type: ignore[arg-type]
    rows = rows_of(kept, "samples.csv")
    parts = {"reported": ready.split.reported, "validation": ready.split.validation}
    for subset, places in parts.items():
        of_part = [row for row in rows if row["subset"] == subset]
        assert [row["sample"] for row in of_part] == [ready.samples[i].id for i in places]
        for row, place in zip(of_part, places, strict=True):
            lesion = ready.prepared.lesions[place]
            assert (row["patient"], row["finding"]) == (lesion.patient, lesion.finding)
            assert row["malignant"] == str(lesion.label)
            size = ready.prepared.native_sizes[place]
            assert (row["width"], row["height"]) == (str(size[0]), str(size[1]))
    reported = [row for row in rows if row["subset"] == "reported"]
    area = roc_auc_score(
        [int(row["malignant"]) for row in reported],
        [float(row["probability_size"]) for row in reported],
    )
    assert area == final_metrics(done, ready)["size_auc"]
    logits = rows_of(kept, "logits.csv")
    assert len(logits) == len(rows)
    for row, said in zip(logits, (*done.predictions.logits, *done.validation.logits), strict=True):
        assert [float(row["logit_benign"]), float(row["logit_malignant"])] == said.tolist()
    assert kept.subsets["validation.csv"].ids == tuple(
        ready.samples[i].unit for i in ready.split.validation
    )
    assert kept.predictions is not None
    assert kept.predictions.patients == tuple(
        ready.samples[i].patient for i in ready.split.reported
    )


def test_what_is_reported_is_not_written_again_as_validation(ready: PreparedData) -> None:
    kept = Kept()
    write_artifacts(kept, result(ready, 1), ready)  # type: ignore[arg-type]
    assert kept.subsets == {}
    assert {row["subset"] for row in rows_of(kept, "samples.csv")} == {"reported"}


def apart(ready: PreparedData) -> Split:
    """Every other patient trained on stops training instead."""
    patients = sorted({ready.samples[i].patient for i in ready.split.train})[::2]
    moved = tuple(i for i in ready.split.train if ready.samples[i].patient in patients)
    kept = tuple(i for i in ready.split.train if i not in moved)
    return replace(ready.split, train=kept, validation=moved)


def with_validation(done: TrialResult, ready: PreparedData) -> TrialResult:
    members = [ready.samples[i] for i in ready.split.validation]
    odds = np.random.default_rng(3).normal(size=len(members))
    said = Predictions(
        tuple(sample.id for sample in members),
        np.array([sample.label for sample in members]),
        1 / (1 + np.exp(-odds)),
        logits=np.column_stack([np.zeros(len(members)), odds]),
    )
    return replace(done, validation=said)
