from __future__ import annotations

import math

import numpy as np
import pytest

from mcalc.baselines import majority, size_only
from mcalc.errors import UserError


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
