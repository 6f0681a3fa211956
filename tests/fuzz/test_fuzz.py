"""The short form of `make test-fuzz`: a few damaged inputs of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.run import fuzz

KINDS = (
    "dicom", "jpeg", "png", "case table", "label table", "split file", "sweep file", "weights",
    "arrays", "caffe", "onnx", "checkpoint",
)  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("kind", KINDS)
def test_each_ends_in_an_error_of_ours_or_a_row_of_the_ledger(kind: str, tmp_path: Path) -> None:
    printed, wrong = fuzz(40, 2026, [kind], tmp_path)
    print(printed)
    assert wrong == []
