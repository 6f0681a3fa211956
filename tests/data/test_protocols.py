"""Splits: what is on each side, and that nothing but lesions and seed decides it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from builders import make_lesion
from hypothesis import given
from hypothesis import strategies as st

from mcalc.config import ProtocolName
from mcalc.data.protocols import split
from mcalc.data.samples import Sample, lesion_samples
from mcalc.errors import UserError


def cohort(seed: int = 1, patients: int = 120) -> list[Sample]:
    draw = random.Random(seed)
    return lesion_samples(
        [
            make_lesion(patient, number=number, malignant=malignant)
            for patient in range(patients)
            for malignant in [draw.random() < 0.4]
            for number in range(1, draw.choice([1, 2, 2, 4]) + 1)
        ]
    )


def sides(lesions: list[Sample], protocol: ProtocolName, seed: int) -> tuple[set[str], set[str]]:
    parts = split(lesions, protocol, 0.3, seed)
    return {lesions[i].id for i in parts.train}, {lesions[i].id for i in parts.reported}


def test_paper_takes_floor_of_70_percent_of_each_label() -> None:
    lesions = cohort()
    counts = Counter(entry.label for entry in lesions)
    parts = split(lesions, ProtocolName.paper, 0.3, 0)
    trained = Counter(lesions[i].label for i in parts.train)
    # splitEachLabel rounds down; integer arithmetic as the reference
    assert trained == {label: n * 7 // 10 for label, n in counts.items()}
    assert sorted(parts.train + parts.reported) == list(range(len(lesions)))
    assert parts.shared_patients > 0
    assert str(parts.shared_patients) in parts.leak


@pytest.mark.parametrize("n", [10, 20, 30, 50, 70, 100, 130, 1000])
def test_a_share_that_is_whole_is_not_lost_to_rounding(n: int) -> None:
    lesions = [make_lesion(i, malignant=i % 2 == 0) for i in range(2 * n)]
    assert len(split(lesions, ProtocolName.paper, 0.3, 0).train) == 2 * (7 * n // 10)


@given(st.integers(0, 10_000), st.integers(0, 20))
def test_patient_keeps_patients_apart_and_shares_near(cohort_seed: int, seed: int) -> None:
    lesions = cohort(cohort_seed)
    parts = split(lesions, ProtocolName.patient, 0.3, seed)
    of = [{lesions[i].patient for i in side} for side in (parts.train, parts.reported)]
    assert not of[0] & of[1]
    assert parts.shared_patients == 0
    assert parts.leak == "none"
    for label in (0, 1):
        held = sum(lesions[i].label == label for i in parts.reported)
        # within one patient's lesions (four at most) of the share wanted
        assert abs(held - 0.3 * sum(entry.label == label for entry in lesions)) <= 4


@pytest.mark.parametrize("protocol", list(ProtocolName))
def test_rows_order_does_not_matter_but_the_seed_does(protocol: ProtocolName) -> None:
    lesions = cohort()
    shuffled = random.Random(3).sample(lesions, len(lesions))
    assert sides(lesions, protocol, 0) == sides(shuffled, protocol, 0)
    assert sides(lesions, protocol, 0) != sides(lesions, protocol, 1)
    first, again = split(lesions, protocol, 0.3, 0), split(shuffled, protocol, 0.3, 0)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != split(lesions, protocol, 0.3, 1).fingerprint


@pytest.mark.parametrize("protocol", list(ProtocolName))
def test_a_side_with_one_class_is_refused(protocol: ProtocolName) -> None:
    lesions = [make_lesion(i, malignant=i == 0) for i in range(20)]
    with pytest.raises(UserError, match=r"benign and \d+ malignant.*both classes are needed"):
        split(lesions, protocol, 0.3, 0)
