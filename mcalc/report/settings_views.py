"""How the settings of a sweep went with its scores: parallel coordinates, slices, importance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from mcalc.report.formats import Column, Table, numbers
from mcalc.report.varying import Sweep, Varied

FEWEST = 3
"""Configurations that parallel coordinates and slices need to show anything."""
_FEWEST_IMPORTANT = 16
"""Configurations that importance needs: with fewer, trees divide chance."""
_TREES, _REPEATS, _SEED = 200, 20, 0
_ACROSS, _DOWN, _TOP, _LEFT = 130, 230, 46, 60
"""Parallel coordinates, in SVG units: between axes, their length, above and left of them."""
_BLUE, _GREY = "#0072b2", "#777777"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of parallel coordinates."""

    title: str
    x: float
    ticks: tuple[tuple[float, str], ...]
    """Height and text of each."""


@dataclass(frozen=True, slots=True)
class Path:
    """A row as a line through all axes."""

    row: int
    """Its place in the sweep."""
    points: str
    words: str
    tenth: int
    """Of its AUC among all: 0 the lowest, 9 the highest."""


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parallel coordinates as numbers of an SVG."""

    width: float
    height: float
    top: float
    bottom: float
    axes: tuple[Axis, ...]
    lines: tuple[Path, ...]


def parallel(sweep: Sweep) -> Parallel | None:
    """Every row as a line through its settings to its AUC; None for too few rows or settings."""
    rows = [(place, row) for place, row in enumerate(sweep.rows) if not math.isnan(row.score.auc)]
    if len(rows) < FEWEST or len(sweep.settings) < 2:
        return None
    axes, heights = [], []
    areas = [row.score.auc for _, row in rows]
    scales = [
        (title, *_scale([row.settings[place] for _, row in rows]))
        for place, title in enumerate(sweep.settings)
    ]
    # also of few rows as a number: two AUCs that hardly differ stand beside each other
    scales.append(("AUC", *_scale_of_numbers(np.array(areas), "{:.3f}")))
    for place, (title, shares, ticks) in enumerate(scales):
        x = _LEFT + _ACROSS * place
        heights.append([_TOP + _DOWN * (1 - share) for share in shares])
        axes.append(Axis(title, x, tuple((_TOP + _DOWN * (1 - at), text) for at, text in ticks)))
    order = np.searchsorted(np.sort(areas), areas)  # equal ones have one colour
    lines = []
    for index, (place, row) in enumerate(rows):
        points = " ".join(
            f"{axis.x:g},{height[index]:.1f}" for axis, height in zip(axes, heights, strict=True)
        )
        words = f"{row.name}: AUC {row.score.auc:.3f}"
        lines.append(Path(place, points, words, int(10 * order[index] / len(rows))))
    width = axes[-1].x + 70
    return Parallel(width, _TOP + _DOWN + 24, _TOP, _TOP + _DOWN, tuple(axes), tuple(lines))


def _scale(values: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where each value stands on an axis, 0..1, and what is written beside it."""
    parsed = _numbers(values)
    if parsed is None or len(set(values)) <= 6:
        known = sorted(set(values), key=lambda text: _order(text))
        at = {text: place / max(1, len(known) - 1) for place, text in enumerate(known)}
        ticks = [(at[text], text if len(text) < 15 else f"{text[:13]}…") for text in known]
        return [at[text] for text in values], ticks[:40]
    if not _is_logarithmic(parsed):
        return _scale_of_numbers(parsed, "{:.3g}")
    shares, _ = _scale_of_numbers(np.log(parsed), "")
    low, high = float(parsed.min()), float(parsed.max())
    ends = {0.0: low, 0.5: math.sqrt(low * high), 1.0: high}
    return shares, [(share, f"{end:.3g}") for share, end in ends.items()]


def _scale_of_numbers(
    values: npt.NDArray[np.float64], written: str
) -> tuple[list[float], list[tuple[float, str]]]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return [0.5] * len(values), [(0.5, written.format(low))]
    shares = [float(value) for value in (values - low) / (high - low)]
    ends = {0.0: low, 0.5: (low + high) / 2, 1.0: high}
    return shares, [(share, written.format(end)) for share, end in ends.items()]


def _order(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), ""
    except ValueError:
        return True, 0.0, text


def _numbers(values: Sequence[str]) -> npt.NDArray[np.float64] | None:
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return None


def _is_logarithmic(values: npt.NDArray[np.float64]) -> bool:
    """Positive values over more than a factor of 20, as drawn on a logarithmic scale."""
    return bool(values.min() > 0 and values.max() / values.min() > 20)


def slices_figure(sweep: Sweep) -> Figure | None:
    """AUC against each setting that varies, a dot a row; None for too few rows or no setting."""
    rows = [row for row in sweep.rows if not math.isnan(row.score.auc)]
    if len(rows) < FEWEST or not sweep.settings:
        return None
    across = min(3, len(sweep.settings))
    down = math.ceil(len(sweep.settings) / across)
    figure = Figure(figsize=(2.9 * across, 2.35 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for place, axes in enumerate(panels):
        if place >= len(sweep.settings):
            axes.set_visible(False)
            continue
        _slice(axes, sweep.settings[place], rows, place)
        if place % across == 0:
            axes.set_ylabel("AUC", fontsize=8)
    return figure


def _slice(axes: Axes, title: str, rows: Sequence[Varied], place: int) -> None:
    values = [row.settings[place] for row in rows]
    parsed = _numbers(values)
    areas = [row.score.auc for row in rows]
    if parsed is None or len(set(values)) <= 6:
        known = sorted(set(values), key=_order)
        # dots of one value side by side, or they hide one another
        spread = np.linspace(-0.18, 0.18, len(rows))
        axes.plot([known.index(v) + spread[i] for i, v in enumerate(values)], areas, "o",
                  color=_BLUE, markersize=3.5, alpha=0.6)  # fmt: skip
        for x, text in enumerate(known):
            own = [area for area, value in zip(areas, values, strict=True) if value == text]
            axes.plot([x - 0.3, x + 0.3], [float(np.median(own))] * 2, color=_GREY, linewidth=1.6)
        axes.set_xticks(range(len(known)), known, fontsize=7, parse_math=False,
                        rotation=30 if max(map(len, known)) > 6 else 0)  # fmt: skip
        axes.set_xlim(-0.5, len(known) - 0.5)
    else:
        axes.plot(parsed, areas, "o", color=_BLUE, markersize=3.5, alpha=0.6)
        if _is_logarithmic(parsed):
            axes.set_xscale("log")
    axes.set_xlabel(title, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def importance_table(sweep: Sweep) -> Table | None:
    """How much each setting that varies matters for the AUC; None for too few configurations.

    Permutation importance of a random forest: by how much its error on rows that a tree has not
    seen grows as a setting's values are shuffled, as a share of all settings. It needs no
    Optuna study, so that grids and records without one have it too.
    """
    rows = [row for row in sweep.rows if not math.isnan(row.score.auc)]
    if len(rows) < _FEWEST_IMPORTANT or len(sweep.settings) < 2:
        return None
    inputs = np.array(
        [_coded([row.settings[place] for row in rows]) for place in range(len(sweep.settings))]
    ).T
    areas = np.array([row.score.auc for row in rows])
    if float(np.ptp(areas)) == 0:
        return None
    forest = RandomForestRegressor(
        _TREES, oob_score=True, random_state=_SEED, min_samples_leaf=2, n_jobs=1
    ).fit(inputs, areas)
    found = permutation_importance(
        forest, inputs, areas, n_repeats=_REPEATS, random_state=_SEED, n_jobs=1
    )
    means = np.maximum(found.importances_mean, 0)
    total = float(means.sum())
    shares = means / total if total > 0 else means
    order = np.argsort(-shares, kind="stable")
    explained = float(forest.oob_score_)
    told = f"{100 * explained:.0f} % of how AUCs differ between rows that its trees have not seen"
    if explained <= 0:
        told = (
            "nothing of how AUCs differ between rows that its trees have not seen, so that these "
            "shares mean nothing"
        )
    return Table(
        "Importance of the settings for the AUC",
        (Column("setting", "Setting", text=True), *numbers(share="Share", values="Values")),
        tuple(
            (
                sweep.settings[i],
                f"{100 * shares[i]:.0f} %",
                str(len({row.settings[i] for row in rows})),
            )
            for i in order
        ),
        (
            "Permutation importance of a random forest (200 trees): how much worse it foretells "
            "AUCs where a setting's values are shuffled; shares of the sum.",
            f"The forest explains {told}. Importance is of these rows and ranges alone, and says "
            "nothing of which value is better: see the slices.",
        ),
    )


def _coded(values: Sequence[str]) -> list[float]:
    """Numbers as they are; words by their place among the sorted ones."""
    parsed = _numbers(values)
    if parsed is not None:
        return [float(value) for value in parsed]
    known = sorted(set(values), key=_order)
    return [float(known.index(value)) for value in values]
