"""Figures of scores: ROC and precision-recall curves, and whether probabilities are calibrated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from mcalc.evaluation.calibration import reliability_bins
from mcalc.evaluation.clustered import Patients, rate_interval
from mcalc.evaluation.figure_text import set_title, shortened, text_width

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STYLES = ("-", "--", "-.", ":")
_GREY = "#8a8a8a"

# of the legend below the curves: points
_LEGEND_SIZE, _LEGEND_WIDTH = 7, 560
_ENTRY = 35
"""Points of a column beside its text: the line, and what is left free."""
_BELOW, _LINES_BELOW, _LEGEND_LINE = 1.2, 4, 0.16
"""Inches below the curves, the lines of a legend that they hold, and inches of a further line."""

Scored = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Labels (n,) and scores (n,), the larger the more malignant."""


def curves_figure(scorers: Mapping[str, Scored], title: str) -> Figure:
    """ROC curves beside precision-recall curves, a scorer a line of its own colour and dashes.

    Args:
        scorers: name -> labels, with both classes, and scores.
        title: of the whole figure.
    """
    names = {name: shortened(name, _LEGEND_WIDTH - _ENTRY, _LEGEND_SIZE) for name in scorers}
    longest = max((text_width(name, _LEGEND_SIZE) for name in names.values()), default=0.0)
    columns = max(1, min(6, int(_LEGEND_WIDTH / (longest + _ENTRY))))
    below = _BELOW + _LEGEND_LINE * max(0, math.ceil(len(names) / columns) - _LINES_BELOW)
    height = 3.2 + below
    figure = Figure(figsize=(8.0, height))
    margins = {"left": 0.075, "right": 0.985, "top": 1 - 0.53 / height, "bottom": below / height}
    margins["wspace"] = 0.2
    left, right = figure.subplots(1, 2, gridspec_kw=margins)
    for place, (name, (labels, scores)) in enumerate(scorers.items()):
        look = {
            "color": _COLOURS[place % len(_COLOURS)],
            "linestyle": _STYLES[place // len(_COLOURS) % len(_STYLES)],
            "linewidth": 1.3,
        }
        false, true, _ = roc_curve(labels, scores)
        left.plot(false, true, label=names[name], **look)
        precision, recall, _ = precision_recall_curve(labels, scores)
        right.plot(recall, precision, drawstyle="steps-post", **look)
    left.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    shares = {float(np.mean(labels)) for labels, _ in scorers.values()}
    for share in shares:
        right.axhline(share, color=_GREY, linewidth=0.8)
    left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    right.set(xlabel="sensitivity (recall)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    legend = figure.legend(loc="lower center", ncols=columns, fontsize=_LEGEND_SIZE, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    set_title(figure, title)
    return figure


def roc_figure(
    scorers: Mapping[str, Scored], points: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """ROC curves of a network and of what it is compared with, and single operating points.

    Args:
        scorers: name -> labels, with both classes, and scores.
        points: name -> 1 - specificity and sensitivity, each 0..1.
        title: of the figure.
    """
    figure = Figure(figsize=(4.0, 3.7))
    axes = figure.add_axes((0.14, 0.15, 0.83, 0.75))
    for place, (name, (labels, scores)) in enumerate(scorers.items()):
        false, true, _ = roc_curve(labels, scores)
        axes.plot(
            false, true, label=name, color=_COLOURS[place], linestyle=_STYLES[place], linewidth=1.5
        )
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    for place, (name, (false_rate, rate)) in enumerate(points.items()):
        axes.plot(
            false_rate, rate, "os^"[place % 3], markersize=8, markerfacecolor="none",
            markeredgecolor="#222222", markeredgewidth=1.5, linestyle="none", label=name,
        )  # fmt: skip
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1.005), ylim=(0, 1.01))
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    set_title(figure, title)
    return figure


def reliability_figure(
    labels: npt.NDArray[np.int64],
    probabilities: Mapping[str, npt.NDArray[np.float64]],
    patients: Patients,
    title: str,
) -> Figure:
    """Share of malignant lesions against the probability stated, in groups of about as many.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        probabilities: what is shown -> probability of malignant, 0..1; shape (n,).
        patients: of each lesion; the bars are 95 % intervals clustered by them.
        title: of the figure.
    """
    figure = Figure(figsize=(4.0, 3.7))
    axes = figure.add_axes((0.14, 0.17, 0.83, 0.73))
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    whose = None if patients is None else np.asarray(patients)
    for place, (name, stated) in enumerate(probabilities.items()):
        bins = reliability_bins(stated)
        seen = [float(labels[each.lesions].mean()) for each in bins]
        ends = [
            rate_interval(labels[each.lesions] == 1, None if whose is None else whose[each.lesions])
            for each in bins
        ]
        axes.errorbar(
            [each.stated for each in bins],
            seen,
            yerr=[
                [share - low for share, (low, _) in zip(seen, ends, strict=True)],
                [high - share for share, (_, high) in zip(seen, ends, strict=True)],
            ],
            color=_COLOURS[place],
            linestyle=_STYLES[place],
            marker="os"[place % 2],
            markersize=4,
            linewidth=1,
            label=name,
        )
    axes.set(xlabel="probability stated", ylabel="share malignant", xlim=(0, 1), ylim=(-0.01, 1.01))
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    set_title(figure, title)
    return figure


def ladder_figure(steps: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """A line a seed over protocols from left to right, and their mean.

    Args:
        steps: protocol -> seed -> AUC; the same seeds in each.
        title: of the figure.
    """
    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.add_axes((0.1, 0.14, 0.87, 0.76))
    places = range(len(steps))
    seeds = list(next(iter(steps.values())))
    for seed in seeds:
        each = [values[seed] for values in steps.values()]
        axes.plot(places, each, color=_GREY, linewidth=0.9, marker="o", markersize=3)
        axes.annotate(f"seed {seed}", (places[-1], each[-1]), fontsize=6, xytext=(4, -2),
                      textcoords="offset points", color="#555555")  # fmt: skip
    means = [float(np.mean(list(values.values()))) for values in steps.values()]
    axes.plot(places, means, color=_COLOURS[0], linewidth=2.2, marker="s", label="mean")
    for place, mean in zip(places, means, strict=True):
        axes.annotate(f"{mean:.3f}", (place, mean), fontsize=8, xytext=(0, 7),
                      textcoords="offset points", ha="center", color=_COLOURS[0])  # fmt: skip
    axes.axhline(0.5, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_xticks(list(places), list(steps), fontsize=8)
    axes.set_xlim(-0.3, len(steps) - 0.55)
    axes.set_ylabel("AUC on the lesions reported", fontsize=9)
    set_title(figure, title)
    return figure
