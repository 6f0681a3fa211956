from __future__ import annotations

import logging

import pytest

from mcalc.results import CurvePoint
from mcalc.training import progress


def test_a_line_before_the_first_evaluation_has_no_empty_item(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    caplog.set_level(logging.INFO)
    shown = progress.TrainingProgress("AL3")
    shown.started(120)
    shown.iterated(1)
    point = CurvePoint(2, 1.0, train_loss=0.5, train_accuracy=0.5, val_loss=0.25, val_accuracy=0.75)
    shown.evaluated(point, [])
    shown.iterated(120)
    shown.stopped()
    first, last = caplog.messages
    assert first.startswith("  AL3: iteration 1 of at most 120, at most ")
    assert last.startswith(
        "  AL3: iteration 120 of at most 120, val loss 0.2500, accuracy 0.750, at most 0 s left"
    )
