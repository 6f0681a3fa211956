"""Samples: one a lesion or an image, with its label, unit and what the settings leave out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders import make_lesion

from mcalc.config import (
    CsvSplit,
    DataConfig,
    MixedLabels,
    ProtocolConfig,
    ProtocolName,
    Region,
    Unit,
    UnitScore,
    WithoutCallback,
)
from mcalc.data.records import Lesion, Pathology, Side, Split, View
from mcalc.data.splits.protocols import split
from mcalc.data.splits.samples import class_count, joint_label, make_samples
from mcalc.data.splits.units import by_unit, score_units
from mcalc.errors import UserError
from mcalc.results import Predictions

BENIGN, CALLED, MALIGNANT = (
    Pathology.BENIGN,
    Pathology.BENIGN_WITHOUT_CALLBACK,
    Pathology.MALIGNANT,
)


def lesion(
    patient: int, side: Side, view: View, number: int, pathology: Pathology, split: Split
) -> Lesion:
    return replace(
        make_lesion(patient),
        id=f"Calc_P_{patient:05d}_{side}_{view}_{number}",
        side=side,
        view=view,
        abnormality=number,
        pathology=pathology,
        split=split,
    )


LESIONS = (
    # patient 1: left breast with both labels on one image, right breast benign
    lesion(1, Side.LEFT, View.CC, 1, MALIGNANT, Split.TRAIN),
    lesion(1, Side.LEFT, View.CC, 2, BENIGN, Split.TRAIN),
    lesion(1, Side.LEFT, View.MLO, 1, MALIGNANT, Split.TRAIN),
    lesion(1, Side.RIGHT, View.CC, 1, BENIGN, Split.TRAIN),
    # patient 2: benign, one without callback; patient 3: without callback alone
    lesion(2, Side.LEFT, View.CC, 1, BENIGN, Split.TEST),
    lesion(2, Side.LEFT, View.CC, 2, CALLED, Split.TEST),
    lesion(3, Side.LEFT, View.CC, 1, CALLED, Split.TRAIN),
)
IMAGES = (0, 0, 1, 2, 3, 3, 4)


def settings(**values: object) -> DataConfig:
    return replace(DataConfig(), **values)  # type: ignore[arg-type]


def test_a_crop_is_a_sample_with_its_lesions_label() -> None:
    samples = make_samples(LESIONS, range(7), DataConfig()).samples
    assert [sample.id for sample in samples] == [entry.id for entry in LESIONS]
    assert [sample.unit for sample in samples] == [entry.id for entry in LESIONS]
    assert [sample.label for sample in samples] == [1, 0, 1, 0, 0, 0, 0]
    assert [sample.image for sample in samples] == list(range(7))
    assert [sample.lesions for sample in samples] == [(i,) for i in range(7)]
    assert [sample.official for sample in samples] == [entry.split for entry in LESIONS]


def test_an_image_of_both_official_splits_is_of_neither() -> None:
    both = (
        lesion(1, Side.LEFT, View.CC, 1, BENIGN, Split.TRAIN),
        lesion(1, Side.LEFT, View.CC, 2, BENIGN, Split.TEST),
        lesion(2, Side.LEFT, View.CC, 1, MALIGNANT, Split.TEST),
        lesion(2, Side.LEFT, View.CC, 2, BENIGN, Split.TEST),
    )
    full = settings(region=Region.full, unit=Unit.image)
    samples = make_samples(both, [0, 0, 1, 1], full).samples
    assert [sample.official for sample in samples] == [None, Split.TEST]
    with pytest.raises(UserError, match="1 of 2 images are in no official"):
        split(samples, ProtocolConfig(ProtocolName.official, validation=0.2), 0)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (Unit.image, {"Calc_P_00001_LEFT_CC": 2, "Calc_P_00001_LEFT_MLO": 1}),
        (Unit.breast, {"P_00001_LEFT": 3, "P_00001_RIGHT": 1}),
        (Unit.patient, {"P_00001": 4}),
    ],
)
def test_units_gather_what_belongs_together(unit: Unit, expected: dict[str, int]) -> None:
    samples = make_samples(LESIONS[:4], range(4), settings(unit=unit)).samples
    found = Counter(sample.unit for sample in samples)
    assert {name: found[name] for name in expected} == expected
    assert [sample.label for sample in samples] == [1, 0, 1, 0], "training keeps each one's label"


def test_a_whole_image_is_one_sample_malignant_where_any_lesion_is() -> None:
    data = settings(region=Region.full, unit=Unit.image)
    samples = make_samples(LESIONS, IMAGES, data).samples
    assert [(sample.id[7:], sample.image, sample.label) for sample in samples] == [
        ("00001_LEFT_CC", 0, 1),
        ("00001_LEFT_MLO", 1, 1),
        ("00001_RIGHT_CC", 2, 0),
        ("00002_LEFT_CC", 3, 0),
        ("00003_LEFT_CC", 4, 0),
    ]
    assert samples[0].lesions == (0, 1)
    assert all(sample.unit == sample.id for sample in samples)


@pytest.mark.parametrize(
    ("unit", "left", "warning"),
    [
        (Unit.lesion, 7, None),
        (Unit.image, 5, "1 of 5 images excluded, with 2 lesions"),
        (Unit.breast, 4, "1 of 4 breasts excluded, with 3 lesions"),
        (Unit.patient, 3, "1 of 3 patients excluded, with 4 lesions"),
    ],
)
def test_mixed_units_are_excluded_whole_and_counted(
    unit: Unit, left: int, warning: str | None
) -> None:
    data = settings(unit=unit, mixed_labels=MixedLabels.exclude)
    made = make_samples(LESIONS, range(7), data)
    assert len(made.samples) == left
    assert len(made.warnings) == (warning is not None)
    assert not warning or warning in made.warnings[0]


def test_without_callback_is_excluded_where_asked_and_counted() -> None:
    data = settings(benign_without_callback=WithoutCallback.exclude)
    made = make_samples(LESIONS, range(7), data)
    assert [sample.lesions for sample in made.samples] == [(i,) for i in range(5)]
    assert "2 of 7 lesions excluded: benign without callback" in made.warnings[0]
    assert class_count(data) == 2


def test_without_callback_as_a_third_class() -> None:
    data = settings(benign_without_callback=WithoutCallback.own_class)
    assert class_count(data) == 3
    samples = make_samples(LESIONS, range(7), data).samples
    assert [sample.label for sample in samples] == [1, 0, 1, 0, 0, 2, 2]
    whole = replace(data, region=Region.full, unit=Unit.image)
    labels = [sample.label for sample in make_samples(LESIONS, IMAGES, whole).samples]
    assert labels == [1, 1, 0, 0, 2], "benign beside without callback is benign"
    with pytest.raises(UserError, match="no lesion of this data is benign without callback"):
        make_samples(LESIONS[:5], range(5), data)


def test_nothing_left_is_an_error_with_the_rules_that_did_it() -> None:
    data = settings(unit=Unit.patient, mixed_labels=MixedLabels.exclude)
    with pytest.raises(UserError, match=r"no lesion is left.*data.mixed_labels=exclude"):
        make_samples(LESIONS[:4], range(4), data)


def test_a_breast_that_is_unknown_is_refused() -> None:
    unknown = [replace(LESIONS[0], side=None), *LESIONS[1:]]
    with pytest.raises(UserError, match=r"breast of 1 lesions is unknown.*data.unit=image"):
        make_samples(unknown, range(7), settings(unit=Unit.breast))


def test_joint_label() -> None:
    assert [joint_label(labels) for labels in ([0], [2], [2, 0], [0, 1, 2], [2, 1])] == [
        0, 2, 0, 1, 1,
    ]  # fmt: skip


def test_a_units_score_is_the_mean_or_the_largest_of_its_images() -> None:
    samples = make_samples(LESIONS, range(7), settings(unit=Unit.breast)).samples
    scores = np.array([0.9, 0.1, 0.5, 0.3, 0.2, 0.6, 0.7])
    predictions = Predictions(
        tuple(sample.id for sample in samples), np.array([1, 0, 1, 0, 0, 0, 0]), scores
    )
    mean = score_units(predictions, samples, UnitScore.mean)
    assert mean.ids == ("P_00001_LEFT", "P_00001_RIGHT", "P_00002_LEFT", "P_00003_LEFT")
    assert mean.labels.tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(mean.probabilities, [0.5, 0.3, 0.4, 0.7])
    largest = score_units(predictions, samples, UnitScore.max)
    np.testing.assert_array_equal(largest.probabilities, [0.9, 0.3, 0.6, 0.7])
    # only what is reported counts: the breast's other image stands elsewhere
    part = Predictions(predictions.ids[1:4], predictions.labels[1:4], scores[1:4])
    np.testing.assert_allclose(score_units(part, samples, UnitScore.mean).probabilities, [0.3, 0.3])


@pytest.mark.parametrize("how", list(UnitScore))
def test_lesions_as_units_keep_every_number_to_the_last_bit(how: UnitScore) -> None:
    scores = np.random.default_rng(0).random(500)
    labels = np.random.default_rng(1).integers(0, 2, 500)
    found = by_unit([f"lesion {i}" for i in range(500)], labels, scores, how)
    np.testing.assert_array_equal(found.probabilities, scores)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.shared
def test_the_real_case_files_have_so_many_of_each(shared_data) -> None:  # type: ignore[no-untyped-def]
    from mcalc.data.sources.registry import open_source

    root = shared_data / "cbis-ddsm"
    data = DataConfig(
        source="cbis_ddsm",
        root=str(root / "kaggle"),
        csv_dir=str(root / "csv"),
        csv_split=CsvSplit.all,
    )
    lesions = open_source(data).lesions

    def labels(**values: object) -> Counter[int]:
        samples = make_samples(lesions, range(1872), replace(data, **values)).samples  # type: ignore[arg-type]
        units: dict[str, int] = {}
        for sample in samples:
            units[sample.unit] = joint_label([sample.label, units.get(sample.unit, sample.label)])
        return Counter(units.values())

    # counted in the CSVs: 658 benign, 541 without callback, 673 malignant, on 1511 images of 753
    assert labels() == {0: 1199, 1: 673}
    assert labels(benign_without_callback=WithoutCallback.exclude) == {0: 658, 1: 673}
    assert labels(benign_without_callback=WithoutCallback.own_class) == {0: 658, 1: 673, 2: 541}
    images = labels(unit=Unit.image)
    assert images.total() == 1511
    assert labels(unit=Unit.image, region=Region.full) == images
    unmixed = labels(unit=Unit.image, mixed_labels=MixedLabels.exclude)
    # eleven images carry lesions of different pathology; on two of them all are benign
    assert images.total() - unmixed.total() == 9
    assert labels(unit=Unit.patient).total() == 753
