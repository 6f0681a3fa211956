from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mcalc.paper.tables import PAPER_TRIALS
from mcalc.results import Artifacts, CurvePoint, Predictions, RecordedTrial

TrialMaker = Callable[..., RecordedTrial]


@pytest.fixture
def trial() -> TrialMaker:
    """Maker of recorded trials whose predictions have the counts asked for."""

    def make(
        name: str,
        tn: int = 30,
        fn: int = 4,
        tp: int = 12,
        fp: int = 10,
        tags: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
        warnings: Sequence[str] = (),
        crops: dict[str, str] | None = None,
        curve: tuple[CurvePoint, ...] | None = None,
        run_id: str | None = None,
    ) -> RecordedTrial:
        network = "googlenet" if name.startswith("GL") else "alexnet"
        rows = {row.name: row for row in PAPER_TRIALS[network]}
        settings = rows[name].settings if name in rows else {}
        labels = np.repeat([0, 1, 1, 0], [tn, fn, tp, fp])
        # spread out, so that the areas are no accident of ties
        low, high = np.linspace(0.05, 0.45, tn + fn), np.linspace(0.55, 0.95, tp + fp)
        every: dict[str, Any] = {
            "backbone.name": network,
            "data.source": "cbis_ddsm",
            "trainer.max_epochs": 30,
            "trainer.max_iterations": None,
            "trainer.batch_size": 10,
            "trainer.val_every": 50,
            "trainer.lr": 1e-4,
            "seed": 0,
            **settings,
            **(params or {}),
        }
        if curve is None:
            curve = tuple(
                CurvePoint(50 * i, 0.5 * i, 0.7 / i, 0.6, 0.8 / i, 0.6) for i in range(1, 8)
            )
        return RecordedTrial(
            run_id=run_id or f"run-{name}",
            name=name,
            state="finished",
            params={key: str(value) for key, value in every.items()},
            metrics={"iterations": 350.0, **(metrics or {})},
            tags={
                "mcalc.sweep_id": network,
                "mcalc.protocol": "patient",
                "mcalc.leak": "none",
                "mcalc.weights": "imagenet (origin)",
                "mcalc.data": "kaggle layout",
                "mcalc.fingerprint": "abc123",
                "mcalc.device": "CPU (x86_64)",
                "mcalc.stop_reason": "patience",
                "mcalc.warnings": json.dumps(list(warnings)),
                **(tags or {}),
            },
            artifacts=Artifacts(
                Predictions(
                    ids=tuple(f"P_{i:05d}" for i in range(labels.size)),
                    labels=labels.astype(np.int64),
                    probabilities=np.concatenate([low, high]),
                ),
                curve,
                crops or {},
            ),
        )

    return make
