"""Counts of what is on both sides: by hand, and on random splits by sets of tuples."""

from __future__ import annotations

import random
from itertools import product

import pytest

from mcalc.data.records import Side, View
from mcalc.data.splits.checking.overlap import OTHER_VIEW, PIXELS, Comparison, compare
from mcalc.data.splits.checking.rows import SplitRow


def row(
    part: str | None,
    patient: int | None,
    side: str | None = "LEFT",
    view: str | None = "CC",
    number: int | None = 1,
    kind: str | None = None,
    name: str = "",
) -> SplitRow:
    return SplitRow(
        where="row 2",
        part=part,
        id=name,
        label="",
        patient=None if patient is None else f"P_{patient:05d}",
        side=None if side is None else Side(side),
        view=None if view is None else View(view),
        kind=kind,
        number=number,
    )


def counts(found: Comparison) -> dict[str, tuple[int, int]]:
    return {each.level: (len(each.shared), each.rows) for each in found.overlaps}


def test_each_kind_of_leakage_by_itself() -> None:
    train = row("train", 1)
    held = {
        "same image": row("test", 1),
        OTHER_VIEW: row("test", 1, view="MLO"),
        "same mammogram": row("test", 1, number=2),
        "same breast": row("test", 1, view="MLO", number=2),
        "same patient": row("test", 1, side="RIGHT"),
        "nothing": row("test", 2),
    }
    found = {}
    for name, other in held.items():
        (comparison,) = compare([train, other])
        assert comparison.leaks is (name != "nothing")
        found[name] = {level for level, (_, rows) in counts(comparison).items() if rows}
    assert found == {
        "same image": {
            "same image", "same mammogram", "same finding", "same breast", "same patient",
        },
        OTHER_VIEW: {"same finding", OTHER_VIEW, "same breast", "same patient"},
        "same mammogram": {"same mammogram", "same breast", "same patient"},
        "same breast": {"same breast", "same patient"},
        "same patient": {"same patient"},
        "nothing": set(),
    }  # fmt: skip


def test_calcifications_and_masses_of_one_patient() -> None:
    rows = [row("train", 1, kind="calc"), row("test", 1, kind="mass")]
    (found,) = compare(rows)
    levels = counts(found)
    assert levels["same patient"] == levels["same mammogram"] == (1, 1)
    # abnormality 1 of the calcifications is not that of the masses
    assert levels["same finding"] == levels["same image"] == (0, 0)


def test_a_whole_mammogram_and_a_crop_of_it() -> None:
    (found,) = compare([row("train", 1, number=None, kind="calc"), row("test", 1, kind="calc")])
    assert counts(found)["same mammogram"] == (1, 1)
    assert counts(found)["same image"] == (0, 0)
    # one film under two names
    (found,) = compare(
        [row("train", 1, number=None, kind="calc"), row("test", 1, number=None, kind="mass")]
    )
    assert counts(found)["same image"] == (1, 1)


def test_other_images_are_compared_by_their_ids() -> None:
    rows = [
        row("train", 1, None, None, None, name="a.png"),
        row("test", 2, None, None, None, name="a.png"),
        row("test", 1, None, None, None, name="b.png"),
        row("test", None, None, None, None, name="c.png"),
    ]
    (found,) = compare(rows)
    assert counts(found)["same image"] == (1, 1)
    assert counts(found)["same patient"] == (1, 1)
    known = {each.level: each.known for each in found.overlaps}
    assert known["same image"] == found.total == 3
    assert known["same patient"] == 2
    assert known["same breast"] == known["same finding"] == known["same mammogram"] == 0


def test_pairs_of_parts() -> None:
    rows = [row(part, i) for i, part in enumerate(["test", "train", "validation", None])]
    pairs = [(each.before, each.held_out, each.total) for each in compare(rows)]
    assert pairs == [("train", "validation", 1), ("train", "test", 1), ("validation", "test", 1)]


def test_each_fold_is_held_out_of_the_others() -> None:
    rows = [row("fold 0", 1), row("fold 1", 2), row("fold 2", 1, "RIGHT"), row("test", 2)]
    found = {(each.before, each.held_out): counts(each)["same patient"] for each in compare(rows)}
    assert found == {
        ("other folds", "fold 0"): (1, 1),
        ("other folds", "fold 1"): (0, 0),
        ("other folds", "fold 2"): (1, 1),
        ("folds", "test"): (1, 1),
    }


def test_pixels_under_two_names() -> None:
    rows = [row("train", 1), row("train", 2), row("test", 3), row("test", 4), row("test", 1)]
    (found,) = compare(rows, {0: "a", 1: "b", 2: "a", 3: "c", 4: "a"})
    pixels = next(each for each in found.overlaps if each.level == PIXELS)
    # the last row is the first one's image: no second name
    assert (pixels.rows, pixels.shared, pixels.known) == (1, ("P_00003_LEFT_CC_1",), 3)
    assert PIXELS not in counts(compare(rows)[0])


@pytest.mark.parametrize("seed", range(20))
def test_random_splits_by_brute_force(seed: int) -> None:
    """Every held-out row beside every row that was seen, compared by their fields."""
    draw = random.Random(seed)
    every = product(range(4), ("LEFT", "RIGHT"), ("CC", "MLO"), (1, 2, None))
    rows = [
        row(draw.choice(["train", "test"]), *fields, kind="calc")
        for fields in every
        for _ in range(draw.randint(0, 2))
        if draw.random() < 0.4
    ]
    train = [each for each in rows if each.part == "train"]
    test = [each for each in rows if each.part == "test"]
    if not train or not test:
        pytest.skip("one part is empty")

    def hits(same: object) -> int:
        assert callable(same)
        return sum(any(same(a, b) for a in train) for b in test)

    expected = {
        "same patient": hits(lambda a, b: a.patient == b.patient),
        "same breast": hits(lambda a, b: (a.patient, a.side) == (b.patient, b.side)),
        "same mammogram": hits(
            lambda a, b: (a.patient, a.side, a.view) == (b.patient, b.side, b.view)
        ),
        "same finding": hits(
            lambda a, b: (
                b.number is not None
                and (a.patient, a.side, a.number) == (b.patient, b.side, b.number)
            )
        ),
        OTHER_VIEW: hits(
            lambda a, b: (
                b.number is not None
                and (a.patient, a.side, a.number) == (b.patient, b.side, b.number)
                and a.view != b.view
            )
        ),
        "same image": hits(
            lambda a, b: (
                (a.patient, a.side, a.view, a.number) == (b.patient, b.side, b.view, b.number)
            )
        ),
    }
    (found,) = compare(rows)
    assert {each.level: each.rows for each in found.overlaps} == expected
    patients = {each.patient for each in train} & {each.patient for each in test}
    assert counts(found)["same patient"][0] == len(patients)
