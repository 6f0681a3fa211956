"""The preparation's benchmark runs; what it measures is asserted nowhere."""

from __future__ import annotations

import pytest
from rich.console import Console

import benchmarks.prepare as bench


def test_the_table_has_a_row_for_each_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # small images are enough to see that every coding is written, read and prepared
    monkeypatch.setattr(bench, "FULL_SHAPE", (600, 400))
    monkeypatch.setattr(bench, "ROUNDS", 1)
    cases = [bench.replace(case, shape=(600, 400), images=3) for case in bench.cases()]
    monkeypatch.setattr(bench, "cases", lambda: cases)
    bench.report(Console(width=200))
    printed = capsys.readouterr().out
    assert printed.count("400 x 600") == len(cases) == 6
    for name in ("Explicit VR", "RLE Lossless", "JPEG 2000", "JPEG Lossless"):
        assert name in printed
