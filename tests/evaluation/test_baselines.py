from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_lesion
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mcalc.config import DataConfig, ProtocolConfig, ProtocolName, Unit, UnitScore
from mcalc.data.records import Lesion
from mcalc.data.splits.protocols import expand, split
from mcalc.data.splits.samples import Sample, make_samples
from mcalc.evaluation.baselines import split_baselines

Part = tuple[np.ndarray, np.ndarray]
"""Crop sizes (n, 2) and labels (n,)."""


def of_parts(
    train: list[Lesion], reported: list[Lesion], sizes: np.ndarray | None = None
) -> dict[str, float]:
    """The baselines of lesions that each are a sample and scored alone; no size: not known."""
    found = [*train, *reported]
    samples = [
        Sample(lesion.id, i, lesion.label, lesion.patient, f"unit {i}", lesions=(i,))
        for i, lesion in enumerate(found)
    ]
    pixels = np.full((len(found), 2), -1) if sizes is None else sizes
    n = len(train)
    return split_baselines(found, pixels, samples[:n], samples[n:], UnitScore.mean)


def of_sizes(train: Part, reported: Part) -> dict[str, float]:
    """The baselines of lesions of which nothing but crop size and label is known."""
    parts = [
        undescribed([make_lesion(i, malignant=bool(label)) for i, label in enumerate(labels)])
        for _, labels in (train, reported)
    ]
    return of_parts(*parts, np.concatenate([train[0], reported[0]]))


def crops(n: int, effect: float, seed: int) -> Part:
    """Crops of log-normal size; malignant ones are `effect` standard deviations larger."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scale = rng.normal(size=n) + effect * labels
    shape = rng.normal(size=n) * 0.2
    sizes = np.column_stack([np.exp(5 + 0.4 * (scale + shape)), np.exp(5 + 0.4 * (scale - shape))])
    return np.maximum(np.round(sizes), 1), labels


def test_size_that_separates_the_classes_is_found() -> None:
    found = of_sizes(crops(600, 1.0, seed=1), crops(2000, 1.0, seed=2))
    # unit normals one apart have an area of Phi(1 / sqrt 2) = 0.760
    assert found["size_auc"] == pytest.approx(0.760, abs=0.03)
    assert found["size_auc_low"] < 0.760 < found["size_auc_high"]
    assert found["size_accuracy"] == pytest.approx(0.691, abs=0.03)  # Phi(1/2)


def test_size_without_information_scores_like_chance() -> None:
    found = of_sizes(crops(600, 0.0, seed=3), crops(2000, 0.0, seed=4))
    assert found["size_auc"] == pytest.approx(0.5, abs=0.05)


def test_size_is_as_good_as_a_logistic_regression_built_by_hand() -> None:
    train, reported = crops(300, 0.8, seed=8), crops(200, 0.8, seed=9)
    logs = [np.log(np.column_stack([sizes, sizes.prod(axis=1)])) for sizes, _ in (train, reported)]
    mean, spread = logs[0].mean(axis=0), logs[0].std(axis=0)
    model = LogisticRegression(max_iter=1000).fit((logs[0] - mean) / spread, train[1])
    by_hand = roc_auc_score(reported[1], model.predict_proba((logs[1] - mean) / spread)[:, 1])
    assert of_sizes(train, reported)["size_auc"] == pytest.approx(by_hand, abs=1e-3)


def test_the_reported_part_is_not_fitted() -> None:
    """Turned labels in the reported part turn the area; a fit on that part would follow them."""
    sizes, labels = crops(500, 1.5, seed=5)
    right = of_sizes(crops(500, 1.5, seed=6), (sizes, labels))
    turned = of_sizes(crops(500, 1.5, seed=6), (sizes, 1 - labels))
    assert turned["size_auc"] == pytest.approx(1 - right["size_auc"])
    assert turned["size_auc"] < 0.3


def test_width_and_height_are_told_apart() -> None:
    def wide_or_tall(n: int, seed: int) -> Part:
        """Of one area; the malignant ones are wide, the benign ones tall."""
        labels = np.random.default_rng(seed).integers(0, 2, n)
        wide = np.random.default_rng(seed + 1).normal(0.3, 0.1, n) * np.where(labels, 1, -1)
        return np.round(200 * np.exp(np.column_stack([wide, -wide]))), labels

    assert of_sizes(wide_or_tall(100, 1), wide_or_tall(100, 2))["size_auc"] > 0.99


def test_one_size_for_all_is_no_information() -> None:
    part = (np.full((6, 2), 224), np.array([0, 0, 0, 0, 1, 1]))
    found = of_sizes(part, part)
    assert found["size_auc"] == 0.5
    assert math.isnan(found["size_auc_low"])
    assert found["size_accuracy"] == pytest.approx(4 / 6)


def test_reported_part_of_one_class_has_no_area() -> None:
    found = of_sizes(crops(50, 1.0, seed=7), (np.full((3, 2), 100), np.zeros(3, dtype=int)))
    assert math.isnan(found["size_auc"])


@pytest.mark.parametrize(
    ("train", "reported", "accuracy"),
    [
        ([0, 0, 1], [0, 1, 1, 1], 0.25),
        ([1, 1, 0], [0, 1, 1, 1], 0.75),
        ([0, 1], [0, 0, 1], 2 / 3),  # a tie: benign
    ],
)
def test_majority_names_the_training_parts_commoner_class(
    train: list[int], reported: list[int], accuracy: float
) -> None:
    parts = [
        undescribed([make_lesion(i, malignant=bool(label)) for i, label in enumerate(labels)])
        for labels in (train, reported)
    ]
    assert of_parts(*parts) == {"majority_accuracy": pytest.approx(accuracy)}


@pytest.mark.shared
def test_crop_size_alone_separates_the_real_crops(shared_data) -> None:
    """FACTS of the field: the sizes of CBIS-DDSM's crops carry the label, with an AUC near 0.7."""
    import csv

    from PIL import Image

    sizes, labels = [], []
    with (shared_data / "cbis-ddsm/csv/calc_case_description_train_set.csv").open(newline="") as f:
        for row in csv.DictReader(f):
            series = row["cropped image file path"].strip().split("/")[2]
            crop = next((shared_data / "cbis-ddsm/kaggle/jpeg" / series).glob("*.jpg"))
            with Image.open(crop) as image:
                sizes.append(image.size)
            labels.append(int(row["pathology"] == "MALIGNANT"))
    # every third lesion held out; patients may cross, which sizes gain little from
    held = np.arange(len(labels)) % 3 == 0
    pixels, truth = np.array(sizes), np.array(labels)
    found = of_sizes((pixels[~held], truth[~held]), (pixels[held], truth[held]))
    assert 0.6 < found["size_auc"] < 0.8


def described(n: int, seed: int) -> list[Lesion]:
    """Two lesions a patient: malignant ones are pleomorphic and assessed 5 more often."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        lesion = make_lesion(i // 2, number=i % 2 + 1, malignant=bool(rng.random() < 0.4))
        likely = 0.8 if lesion.label else 0.3
        found.append(
            replace(
                lesion,
                calc_types=frozenset({"PLEOMORPHIC" if rng.random() < likely else "AMORPHOUS"}),
                calc_distributions=frozenset({"LINEAR"} if rng.random() < likely else ()),
                density=int(rng.integers(1, 5)) if rng.random() < 0.9 else None,
                subtlety=int(rng.integers(1, 6)),
                assessment=5 if rng.random() < likely + 0.15 else 3,
            )
        )
    return found


def test_descriptors_are_as_good_as_a_logistic_regression_built_by_hand() -> None:
    train, test = described(400, 1), described(300, 2)

    def features(lesions: list[Lesion]) -> list[list[float]]:
        return [
            [
                *(word in lesion.calc_types for word in ("PLEOMORPHIC", "AMORPHOUS")),
                "LINEAR" in lesion.calc_distributions,
                not lesion.calc_distributions,
                *(lesion.density == value for value in (None, 1, 2, 3, 4)),
                *(lesion.subtlety == value for value in (1, 2, 3, 4, 5)),
            ]
            for lesion in lesions
        ]

    labels = [lesion.label for lesion in test]
    model = LogisticRegression(max_iter=1000).fit(features(train), [e.label for e in train])
    by_hand = roc_auc_score(labels, model.predict_proba(features(test))[:, 1])
    found = of_parts(train, test)
    assert found["descriptors_auc"] == pytest.approx(by_hand, abs=1e-3)
    assert found["descriptors_auc_low"] < found["descriptors_auc"] < found["descriptors_auc_high"]
    assert found["descriptors_assessment_auc"] > found["descriptors_auc"] + 0.02


def test_descriptors_read_nothing_but_descriptors() -> None:
    """Neither names nor sides: lesions that differ in those alone score alike."""
    train, test = described(200, 1), described(100, 2)
    elsewhere = [
        replace(lesion, id=f"X{i}", patient=f"X{i}", side=None, view=None)
        for i, lesion in enumerate(test)
    ]
    found, other = of_parts(train, test), of_parts(train, elsewhere)
    # intervals alone count patients, of whom there are more now
    for name in found:
        assert name.endswith(("_low", "_high")) or found[name] == other[name]
    turned = of_parts(train, [replace(lesion, assessment=3) for lesion in test])
    found = of_parts(train, test)
    assert turned["descriptors_auc"] == found["descriptors_auc"]
    assert turned["descriptors_assessment_auc"] != found["descriptors_assessment_auc"]


def test_a_word_that_training_never_saw_is_not_an_error() -> None:
    test = [
        replace(lesion, calc_types=frozenset({"SKIN"}), subtlety=None)
        for lesion in described(60, 2)
    ]
    assert 0 <= of_parts(described(200, 1), test)["descriptors_auc"] <= 1


def undescribed(lesions: list[Lesion]) -> list[Lesion]:
    nothing = frozenset[str]()
    return [
        replace(
            lesion,
            calc_types=nothing,
            calc_distributions=nothing,
            density=None,
            subtlety=None,
            assessment=None,
        )
        for lesion in lesions
    ]


def test_without_descriptors_there_is_no_baseline_of_them() -> None:
    train, test = undescribed(described(200, 1)), described(100, 2)
    assert set(of_parts(train, test)) == {"majority_accuracy"}
    unassessed = [replace(lesion, assessment=None) for lesion in described(200, 1)]
    found = of_parts(unassessed, test)
    assert "descriptors_auc" in found
    assert "descriptors_assessment_auc" not in found


def of_split(
    found: list[Lesion],
    sizes: np.ndarray,
    protocol: ProtocolName = ProtocolName.patient,
    unit: Unit = Unit.lesion,
    how: UnitScore = UnitScore.mean,
) -> tuple[dict[str, float], list[Lesion], list[Lesion], list[str]]:
    """The baselines, with the lesions of each side and the units of those reported."""
    settings = ProtocolConfig(protocol)
    made = make_samples(found, range(len(found)), replace(DataConfig(), unit=unit))
    samples = expand(made.samples, settings, 0)
    parts = split(samples, settings, 0)
    train = [samples[i] for i in parts.train]
    reported = [samples[i] for i in parts.reported]
    scores = split_baselines(found, sizes, train, reported, how)
    place = {lesion.id: i for i, lesion in enumerate(found)}
    assert all(sample.lesions == (place[found[sample.image].id],) for sample in samples)
    return (
        scores,
        [found[sample.image] for sample in train],
        [found[sample.image] for sample in reported],
        [sample.unit for sample in reported],
    )


def crop_sizes(found: list[Lesion], effect: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(3)
    scale = np.array([lesion.label for lesion in found]) * effect + rng.normal(size=len(found))
    return np.round(np.exp(5 + 0.4 * np.column_stack([scale, scale]))).astype(np.int64)


def test_a_splits_baselines_are_those_of_its_lesions() -> None:
    found = described(400, 5)
    sizes = crop_sizes(found)
    scores, train, reported, _ = of_split(found, sizes)
    at = {lesion.id: i for i, lesion in enumerate(found)}
    alone = of_parts(train, reported, sizes[[at[lesion.id] for lesion in [*train, *reported]]])
    assert scores == pytest.approx(alone)
    benign = np.mean([lesion.label == 0 for lesion in reported])
    assert scores["majority_accuracy"] == pytest.approx(benign)
    assert "size_unknown" not in scores


@pytest.mark.parametrize("how", list(UnitScore))
def test_a_units_baseline_gathers_its_lesions_as_a_networks_score_does(how: UnitScore) -> None:
    found = described(400, 5)
    # size tells everything, so each unit's score follows from whether it has a large lesion
    sizes = np.array([[400, 400] if lesion.label else [40, 40] for lesion in found])
    scores, _, reported, units = of_split(found, sizes, unit=Unit.patient, how=how)
    share: dict[str, list[int]] = {}
    for lesion, unit in zip(reported, units, strict=True):
        share.setdefault(unit, []).append(lesion.label)
    truth = [max(labels) for labels in share.values()]
    assert scores["size_auc"] == 1.0
    gathered = [np.mean(v) if how is UnitScore.mean else max(v) for v in share.values()]
    called = np.array(gathered) > 0.5
    if how is UnitScore.max:
        assert scores["size_accuracy"] == pytest.approx(np.mean(called == truth)) == 1.0
    else:
        # a half of each: the mean of a sure benign and a sure malignant lesion is about 0.5
        assert scores["size_accuracy"] < 1.0


def test_copies_are_scored_each_but_fitted_once() -> None:
    found = described(300, 5)
    sizes = crop_sizes(found)
    scores, train, reported, _ = of_split(found, sizes, ProtocolName.paper_augment_first)
    assert len(train) > len({lesion.id for lesion in train})
    once = list({lesion.id: lesion for lesion in sorted(train, key=lambda e: e.id)}.values())
    alone = of_parts(once, reported)
    assert scores["descriptors_auc"] == pytest.approx(alone["descriptors_auc"], abs=1e-4)


def test_an_unknown_size_is_counted_and_carries_no_information() -> None:
    found = described(400, 5)
    sizes = crop_sizes(found, effect=5.0)
    whole, *_ = of_split(found, sizes)
    sizes[::4] = -1
    part, _, reported, _ = of_split(found, sizes)
    at = {lesion.id: i for i, lesion in enumerate(found)}
    unknown = sum(at[lesion.id] % 4 == 0 for lesion in reported)
    assert part["size_unknown"] == unknown > 0
    assert 0.7 < part["size_auc"] < whole["size_auc"]
    none, *_ = of_split(found, np.full((400, 2), -1))
    assert not any(name.startswith("size") for name in none)
    assert "descriptors_auc" in none


def test_images_without_descriptors_have_size_and_majority_alone() -> None:
    found = undescribed(described(200, 5))
    scores, *_ = of_split(found, crop_sizes(found))
    assert {name.split("_")[0] for name in scores} == {"majority", "size"}


@pytest.mark.shared
def test_descriptors_on_the_official_split_of_the_real_csvs(shared_data: Path) -> None:
    """What was written down separates the real test set by far better than chance."""
    from mcalc.data.records import Split
    from mcalc.data.sources.registry import open_source

    root = shared_data / "cbis-ddsm"
    data = DataConfig(source="cbis_ddsm", root=str(root / "kaggle"), csv_dir=str(root / "csv"))
    rows = open_source(data).lesions
    train = [lesion for lesion in rows if lesion.split is Split.TRAIN]
    test = [lesion for lesion in rows if lesion.split is Split.TEST]
    assert (len(train), len(test)) == (1546, 326)
    found = of_parts(train, test)
    assert 0.7 < found["descriptors_auc"] < found["descriptors_assessment_auc"] < 0.95
