from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_lesion
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mcalc.config.schema import DataConfig, ProtocolConfig, ProtocolName, Unit, UnitScore
from mcalc.data.records import Lesion
from mcalc.data.splits.protocols import expand, split
from mcalc.data.splits.samples import make_samples
from mcalc.errors import UserError
from mcalc.evaluation.baselines import descriptors_only, majority, size_only, split_baselines


def lesions(n: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of log-normal size; malignant ones are `effect` standard deviations larger."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scale = rng.normal(size=n) + effect * labels
    shape = rng.normal(size=n) * 0.2
    sizes = np.column_stack([np.exp(5 + 0.4 * (scale + shape)), np.exp(5 + 0.4 * (scale - shape))])
    return np.maximum(np.round(sizes), 1), labels


def test_size_that_tells_the_classes_apart_is_found() -> None:
    train, test = lesions(600, 1.0, seed=1), lesions(2000, 1.0, seed=2)
    found = size_only(*train, *test)
    # unit normals one apart have an area of Phi(1 / sqrt 2) = 0.760
    assert found.auc == pytest.approx(0.760, abs=0.03)
    assert found.auc_interval[0] < 0.760 < found.auc_interval[1]
    assert found.accuracy == pytest.approx(0.691, abs=0.03)  # Phi(1/2)


def test_size_that_says_nothing_scores_like_chance() -> None:
    found = size_only(*lesions(600, 0.0, seed=3), *lesions(2000, 0.0, seed=4))
    assert found.auc == pytest.approx(0.5, abs=0.05)


def test_the_reported_part_is_not_fitted() -> None:
    """Turned labels in the reported part turn the area; a fit on that part would follow them."""
    sizes, labels = lesions(500, 1.5, seed=5)
    right = size_only(*lesions(500, 1.5, seed=6), sizes, labels)
    turned = size_only(*lesions(500, 1.5, seed=6), sizes, 1 - labels)
    assert turned.auc == pytest.approx(1 - right.auc)
    assert turned.auc < 0.3


def test_one_size_for_all_is_no_information() -> None:
    sizes = np.full((6, 2), 224)
    found = size_only(sizes, [0, 0, 0, 0, 1, 1], sizes, [0, 0, 0, 0, 1, 1])
    assert found.auc == 0.5
    assert math.isnan(found.auc_interval[0])
    assert found.accuracy == pytest.approx(4 / 6)


def test_reported_part_of_one_class_has_no_area() -> None:
    found = size_only(*lesions(50, 1.0, seed=7), np.full((3, 2), 100), [0, 0, 0])
    assert math.isnan(found.auc)


@pytest.mark.parametrize(
    ("train_sizes", "train_labels", "complaint"),
    [
        ([[10, 20], [30, 40]], [0, 0], "one class only"),
        ([[10, 20], [0, 40]], [0, 1], "train_sizes holds a size that is not above 0"),
        ([10, 20], [0, 1], r"train_sizes has shape \(2,\)"),
        ([[10, 20], [30, 40]], [0, 1, 1], r"train_labels has shape \(3,\)"),
        ([[10, 20], [30, 40]], [0, 3], "other values"),
    ],
)
def test_bad_training_part_is_named(
    train_sizes: list[list[int]], train_labels: list[int], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        size_only(train_sizes, train_labels, [[10, 10]], [0])


def test_majority_names_the_training_parts_commoner_class() -> None:
    found = majority([0, 0, 1], [0, 1, 1, 1])
    assert (found.accuracy, found.auc) == (0.25, 0.5)
    assert math.isnan(found.auc_interval[0])
    assert majority([1, 1, 0], [0, 1, 1, 1]).accuracy == 0.75
    assert majority([0, 1], [0, 0, 1]).accuracy == pytest.approx(2 / 3)  # a tie: benign


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
    found = size_only(pixels[~held], truth[~held], pixels[held], truth[held])
    assert 0.6 < found.auc < 0.8


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
    found = descriptors_only(train, test, with_assessment=False)
    assert found is not None
    assert found.auc == pytest.approx(by_hand, abs=1e-3)
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]
    assessed = descriptors_only(train, test, with_assessment=True)
    assert assessed is not None
    assert assessed.auc > found.auc + 0.02


def test_descriptors_read_nothing_but_descriptors() -> None:
    """Neither names nor sides: lesions that differ in those alone score alike."""
    train, test = described(200, 1), described(100, 2)
    elsewhere = [
        replace(lesion, id=f"X{i}", patient=f"X{i}", side=None, view=None)
        for i, lesion in enumerate(test)
    ]
    assert descriptors_only(train, test, True) == descriptors_only(train, elsewhere, True)
    turned = [replace(lesion, assessment=3) for lesion in test]
    assert descriptors_only(train, test, False) == descriptors_only(train, turned, False)
    assert descriptors_only(train, test, True) != descriptors_only(train, turned, True)


def test_a_word_that_training_never_saw_is_no_error() -> None:
    test = [
        replace(lesion, calc_types=frozenset({"SKIN"}), subtlety=None)
        for lesion in described(60, 2)
    ]
    found = descriptors_only(described(200, 1), test, False)
    assert found is not None
    assert 0 <= found.auc <= 1


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
    assert descriptors_only(train, test, False) is None
    assert descriptors_only(train, test, True) is None
    unassessed = [replace(lesion, assessment=None) for lesion in described(200, 1)]
    assert descriptors_only(unassessed, test, False) is not None
    assert descriptors_only(unassessed, test, True) is None


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
    size = size_only(
        sizes[[at[lesion.id] for lesion in train]],
        [lesion.label for lesion in train],
        sizes[[at[lesion.id] for lesion in reported]],
        [lesion.label for lesion in reported],
    )
    assert scores["size_auc"] == pytest.approx(size.auc)
    assert (scores["size_auc_low"], scores["size_auc_high"]) == pytest.approx(size.auc_interval)
    assert scores["size_accuracy"] == size.accuracy
    for name, with_assessment in (("descriptors", False), ("descriptors_assessment", True)):
        alone = descriptors_only(train, reported, with_assessment)
        assert alone is not None
        assert scores[f"{name}_auc"] == pytest.approx(alone.auc)
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
    alone = descriptors_only(once, reported, False)
    assert alone is not None
    assert scores["descriptors_auc"] == pytest.approx(alone.auc, abs=1e-4)


def test_a_size_that_is_not_known_is_counted_and_says_nothing() -> None:
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


def test_own_images_without_descriptors_have_size_and_majority_alone() -> None:
    found = undescribed(described(200, 5))
    scores, *_ = of_split(found, crop_sizes(found))
    assert {name.split("_")[0] for name in scores} == {"majority", "size"}


@pytest.mark.shared
def test_descriptors_on_the_official_split_of_the_real_csvs(shared_data: Path) -> None:
    """What was written down separates the real test set by far better than chance."""
    from mcalc.data.records import Split
    from mcalc.data.sources.open_source import open_source

    root = shared_data / "cbis-ddsm"
    data = DataConfig(source="cbis_ddsm", root=str(root / "kaggle"), csv_dir=str(root / "csv"))
    rows = open_source(data).lesions
    train = [lesion for lesion in rows if lesion.split is Split.TRAIN]
    test = [lesion for lesion in rows if lesion.split is Split.TEST]
    assert (len(train), len(test)) == (1546, 326)
    without, assessed = (descriptors_only(train, test, flag) for flag in (False, True))
    assert without is not None
    assert assessed is not None
    print(without, assessed)
    assert 0.7 < without.auc < assessed.auc < 0.95
