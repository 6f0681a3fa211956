"""`make bench` runs; what it measures is asserted nowhere."""

from __future__ import annotations

import pytest

import benchmarks.__main__ as bench


def test_the_benchmark_prints_a_row_a_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # one small network is enough to see that it runs
    monkeypatch.setattr(bench, "BACKBONES", {"squeezenet": bench.BACKBONES["squeezenet"]})
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "WARM_UP", 0)
    bench.main()
    printed = capsys.readouterr().out
    assert printed.count("squeezenet") == 4
    assert "bf16" in printed
