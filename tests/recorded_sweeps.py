"""Recorded sweeps of trials that nobody trained, for tests of what reads a record.

They are written as training writes them, by the tracker, with predictions that are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stores import begin_with_tables

from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.tracker import Tracker

_PATIENTS, _EACH = 30, 2
PARAMS = {
    "backbone.name": "squeezenet",
    "backbone.weights": "None",
    "data.source": "cbis_ddsm",
    "trainer.lr": 1e-4,
    "seed": 0,
    "head.weight_lr": 10.0,
}


def open_record(folder: Path) -> Tracker:
    """A record without trials."""
    begin_with_tables(folder)
    return Tracker(folder, "mcalc")


def drawn(skill: float, seed: int, reported: str = "R") -> Predictions:
    """Sixty lesions of thirty patients; the larger the skill, the better they are told apart."""
    generator = np.random.default_rng(seed)
    labels = np.tile([0, 1, 0, 0, 1, 0], _PATIENTS * _EACH // 6)
    odds = skill * (labels - 0.5) + generator.normal(size=labels.size)
    names = tuple(f"{reported}{i:03d}" for i in range(labels.size))
    patients = tuple(f"{reported}P{i // _EACH:03d}" for i in range(labels.size))
    return Predictions(names, labels, 1 / (1 + np.exp(-odds)), patients)


def write_trial(
    tracker: Tracker,
    name: str,
    params: Mapping[str, Any],
    parent: str | None,
    *,
    skill: float = 1.0,
    number: int = 0,
    validated: bool = False,
    crops: int = 0,
) -> str:
    """A finished trial; returns its run's id."""
    tags = {"mcalc.protocol": "patient", "mcalc.device": "CPU", "mcalc.leak": "none"}
    trial = tracker.open_trial(name, f"key-{name}-{number}", {**PARAMS, **params}, tags, parent)
    said = drawn(skill, number)
    trial.table(said)
    if validated:
        trial.predictions_of(drawn(skill, number + 10_000, "V"), "validation.csv")
    trial.curve(tuple(CurvePoint(50 * i, i / 2, 0.7 / i, 0.6, 0.8 / i, 0.6) for i in range(1, 6)))
    image = np.random.default_rng(number).integers(0, 256, (64, 64), dtype=np.uint8)
    if crops:
        trial.crops(dict.fromkeys(said.ids[:crops], image))
    right = float(np.mean((said.probabilities > 0.5) == (said.labels == 1)))
    trial.finish({"accuracy": right, "iterations": 250.0}, {"mcalc.stop_reason": "patience"})
    return trial.run_id


def write_grid(tracker: Tracker, title: str, backbones: tuple[str, ...], seeds: int = 1) -> None:
    """`backbone=... head.weight_lr=1,10` with seeds."""
    parent = tracker.open_sweep(f"{title}-1", title, {})
    number = 0
    for backbone in backbones:
        for rate in (1.0, 10.0):
            for seed in range(seeds):
                number += 1
                name = f"backbone={backbone}, head.weight_lr={rate:g}"
                name += f", seed={seed}" if seeds > 1 else ""
                write_trial(
                    tracker,
                    name,
                    {"backbone.name": backbone, "head.weight_lr": rate, "seed": seed},
                    parent,
                    skill=0.6 + 0.05 * rate,
                    number=number,
                    crops=2,
                )
    tracker.close_sweep(parent, {}, {}, complete=True)


def write_search(
    tracker: Tracker, title: str, count: int, failed: int = 0, pruned: int = 0
) -> None:
    """A search over three settings, of which one matters; the last trials have no result."""
    parent = tracker.open_sweep(f"{title}-1", title, {})
    generator = np.random.default_rng(0)
    for number in range(count):
        rate = float(10 ** generator.uniform(-5, -3))
        params = {
            "trainer.lr": rate,
            "head.weight_lr": float(generator.uniform(1, 30)),
            "trainer.batch_size": int(generator.choice([10, 32, 64])),
        }
        name = ", ".join(f"{key}={value}" for key, value in params.items())
        if number >= count - failed - pruned:
            run = tracker.open_trial(name, f"lost-{number}", {**PARAMS, **params}, {}, parent)
            if number >= count - failed:
                run.fail(f"the loss is nan after {number} iterations: a rate is too high", "trace")
            else:
                run.prune({}, {})
            continue
        skill = 1.8 - 0.6 * abs(np.log10(rate) + 4)
        write_trial(tracker, name, params, parent, skill=skill, number=number, validated=True)
    tracker.close_sweep(parent, {}, {}, complete=False)
