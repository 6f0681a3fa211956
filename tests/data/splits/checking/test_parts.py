"""Parts in the words that people use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcalc.data.splits.checking.parts import (
    ordered,
    part_of_file,
    part_of_word,
    parts_of_values,
)
from mcalc.errors import UserError


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["train", "Training", " TRAIN ", "train_set", "Train Set", "trn"], "train"),
        (["val", "valid", "VALIDATION", "dev", "validation_set"], "validation"),
        (["test", "Testing", "holdout", "hold-out", "Held Out", "test split", "reported"], "test"),
        (["fold0", "Fold 0", "fold_0", "fold-00"], "fold 0"),
        (["fold10", "kfold10", "cv10"], "fold 10"),
    ],
)
def test_words(words: list[str], part: str) -> None:
    assert {part_of_word(word) for word in words} == {part}


@pytest.mark.parametrize("word", ["", "set", "0", "1.0", "true", "left", "contest", "trained"])
def test_what_says_no_part(word: str) -> None:
    assert part_of_word(word) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train.csv", "train"),
        ("calc_case_description_test_set.csv", "test"),
        ("my-split.VAL.csv", "validation"),
        ("fold_3.csv", "fold 3"),
        ("fold3_split.csv", "fold 3"),
    ],
)
def test_parts_of_files(name: str, part: str) -> None:
    assert part_of_file(Path("train_data") / name) == part


@pytest.mark.parametrize(
    ("name", "said"), [("a.csv", "says no part"), ("train_test.csv", "says several parts")]
)
def test_a_files_name_that_does_not_say(name: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"{name} {said} .*split=COL"):
        part_of_file(Path(name))


def of(values: list[str], column: str = "split", meant: str | None = None) -> dict[str, str | None]:
    return parts_of_values(values, column, meant, "file.csv")


def test_values_that_say_it_themselves() -> None:
    assert of(["train", "Test", "", "test"]) == {
        "": None, "train": "train", "Test": "test", "test": "test",
    }  # fmt: skip


@pytest.mark.parametrize("values", [["0", "1", "2"], ["A", "B"], ["train", "excluded"], ["True"]])
def test_values_that_may_be_anything_are_refused(values: list[str]) -> None:
    with pytest.raises(UserError, match=r"^column 'split' of file\.csv has .*parts=") as error:
        of(values)
    assert "\n" not in str(error.value)


def test_values_that_were_explained() -> None:
    assert of(["0", "1", "2.0"], meant="0:train,1:val,2:test") == {
        "": None, "0": "train", "1": "validation", "2.0": "test",
    }  # fmt: skip
    assert of(["A", "train", "x"], meant="a:test,X:none") == {
        "": None, "A": "test", "train": "train", "x": None,
    }  # fmt: skip


@pytest.mark.parametrize("column", ["fold", "Folds", "k_fold", "cv fold"])
def test_numbers_in_a_column_of_folds(column: str) -> None:
    assert of(["0", "1", "4.0"], column) == {
        "": None,
        "0": "fold 0",
        "1": "fold 1",
        "4.0": "fold 4",
    }


def test_numbers_that_were_said_to_be_folds() -> None:
    assert of(["0", "1"], meant="folds") == {"": None, "0": "fold 0", "1": "fold 1"}
    assert of(["a"], meant="FOLDS") == {"": None, "a": "fold a"}


@pytest.mark.parametrize(
    ("meant", "said"),
    [
        ("0=train", "not understood at '0=train'"),
        ("0:tarin,1:test", "at '0:tarin'; did you mean 'train'?"),
        (":train", "not understood"),
        (
            "7:train,0:test,1:val",
            "parts= names '7', which column 'split' of file.csv does not hold",
        ),
    ],
)
def test_explanations_that_are_not_understood(meant: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        of(["0", "1"], meant=meant)


def test_the_order_of_use() -> None:
    parts = ["test", "fold 10", "validation", "fold 2", "train", "test"]
    assert ordered(parts) == ["train", "fold 2", "fold 10", "validation", "test"]
