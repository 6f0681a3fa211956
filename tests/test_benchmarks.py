"""`make bench` runs; what it measures is asserted nowhere."""

from __future__ import annotations

import pytest

import benchmarks.__main__ as bench
from benchmarks import sweep as engine


def test_the_benchmark_prints_a_row_a_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # one small network is enough to see that it runs
    monkeypatch.setattr(bench, "BACKBONES", {"squeezenet": bench.BACKBONES["squeezenet"]})
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "WARM_UP", 0)
    # these have tests of their own
    monkeypatch.setattr(bench.preparation, "report", lambda console: None)
    monkeypatch.setattr(bench.engine, "report", lambda console: None)
    bench.main()
    printed = capsys.readouterr().out
    assert printed.count("squeezenet") == 4
    assert "bf16" in printed


def test_the_engines_benchmark_runs_every_trial() -> None:
    assert len(engine.overheads(5)) == 4


def test_planning_is_measured_on_the_trials_it_says() -> None:
    assert engine.planning_seconds() > 0
