"""Figures of one trial: training curve, sheet of classified crops, confusion matrix.

Each function returns a new matplotlib `Figure`. pyplot and its global state are not used, so
figures may be drawn in any thread and without a display. Widths are chosen to be read at 400
pixels. Colours are of the Okabe-Ito palette, which the colour-blind can tell apart, and
nothing is shown by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mcalc.evaluation.figure_text import set_title, shortened
from mcalc.evaluation.metrics import Confusion
from mcalc.results import CurvePoint

CLASSES = ("benign", "malignant")
"""Names of labels 0 and 1."""

_BLUE = "#0072b2"
_VERMILION = "#d55e00"
_INK = "#222222"
_GREY = "#8a8a8a"
_GREEN = "#007a59"
_WIDTH = 4.0  # inches: 400 pixels at 100 dots an inch

# of the sheet of crops, inches: above and below all rows, a row, and its part above the crop
_ABOVE, _BELOW, _ROW, _CAPTION = 0.3, 0.22, 1.2, 0.3
_ALONG = 110
"""Points that the upper panel of a curve has for a name along a line."""


def curve_figure(
    curve: Sequence[CurvePoint],
    title: str,
    stopped_at: int | None,
    *,
    majority: float | None = None,
    others: Mapping[int, str] = MappingProxyType({}),
) -> Figure:
    """Accuracy above loss over iterations, as in MATLAB's training-progress window.

    Args:
        curve: validation evaluations in order; accuracies 0..1, losses in nats.
        title: of the whole figure.
        stopped_at: iteration at which training stopped, marked in both panels; None marks none.
        majority: accuracy of always giving the commoner class, 0..1: a line; None draws none.
        others: iteration -> name of other trials of this training run, which stopped there.
    """
    figure = Figure(figsize=(_WIDTH, 4.6))
    # fixed margins, as on all pages: a layout that is solved for takes longer than all the rest
    margins = {"left": 0.155, "right": 0.965, "top": 0.925, "bottom": 0.18, "hspace": 0.1}
    accuracy, loss = figure.subplots(2, 1, sharex=True, gridspec_kw=margins)
    iterations = [point.iteration for point in curve]
    train = [100 * point.train_accuracy for point in curve]
    validation = [100 * point.val_accuracy for point in curve]
    _panel(accuracy, iterations, train, validation)
    if majority is not None:
        accuracy.axhline(
            100 * majority, color=_GREEN, linewidth=1.2, linestyle="-.", label="commoner class"
        )
    accuracy.set_ylabel("accuracy, %", fontsize=9)
    accuracy.set_ylim(0, 102)
    _panel(
        loss, iterations, [point.train_loss for point in curve], [point.val_loss for point in curve]
    )
    loss.set_ylabel("cross-entropy loss", fontsize=9)
    loss.set_ylim(bottom=0)
    loss.set_xlabel("iteration", fontsize=9)
    for panel in (accuracy, loss):
        if stopped_at is not None:
            label = f"stopped at {stopped_at}"
            panel.axvline(stopped_at, color=_GREY, linewidth=1.4, linestyle=":", label=label)
        for iteration in others:
            panel.axvline(iteration, color=_GREY, linewidth=0.9, linestyle=(0, (1, 3)))
        if not curve:
            panel.text(0.5, 0.5, "no validation yet", ha="center", transform=panel.transAxes)
    for iteration, name in others.items():
        accuracy.annotate(
            shortened(name, _ALONG, 7), (iteration, 0.02), xycoords=("data", "axes fraction"),
            rotation=90, fontsize=7, xytext=(-2, 0), textcoords="offset points", ha="right",
            va="bottom", color=_INK, parse_math=False,
        )  # fmt: skip
    handles, labels = accuracy.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=8, frameon=False)
    set_title(figure, title)
    return figure


def confusion_figure(confusion: Confusion, title: str) -> Figure:
    """Counts with shares of each row and column, as MATLAB's `confusionchart` with both summaries.

    Rows are the true class, columns the predicted one. The cells on the right split each row into
    right and wrong (specificity and recall), those below split each column (precision). A share of
    nothing is shown as a dash.
    """
    counts = np.array([[confusion.tn, confusion.fp], [confusion.fn, confusion.tp]])
    figure = Figure(figsize=(_WIDTH, 3.7))
    axes = figure.add_axes((0.21, 0.125, 0.77, 0.79))
    largest = max(int(counts.max()), 1)
    for (row, column), count in np.ndenumerate(counts):
        depth = 0.12 + 0.68 * count / largest
        mark = "✓" if row == column else "✗"
        _cell(axes, column, row, f"{mark} {count}", row == column, depth, large=True)
    row_totals, column_totals = counts.sum(axis=1), counts.sum(axis=0)
    for index in range(2):
        hit = int(counts[index, index])
        for place, total in (("row", row_totals[index]), ("column", column_totals[index])):
            # the first cell holds what was right, the second what was wrong
            for offset, part in enumerate((hit, int(total) - hit)):
                share = part / int(total) if total else math.nan
                x, y = (2.2 + offset, index) if place == "row" else (index, 2.2 + offset)
                text = "—" if math.isnan(share) else f"{100 * share:.1f}%"
                depth = 0.12 if math.isnan(share) else 0.12 + 0.68 * share
                _cell(axes, x, y, text, offset == 0, depth, large=False)
    axes.set_xlim(-0.02, 4.22)
    axes.set_ylim(4.22, -0.02)
    axes.set_xticks([0.5, 1.5, 2.7, 3.7], [*CLASSES, "right", "wrong"], fontsize=8)
    axes.set_yticks([0.5, 1.5, 2.7, 3.7], [*CLASSES, "right", "wrong"], fontsize=8)
    axes.set_xlabel("predicted class (left), share of the row (right)", fontsize=8)
    axes.set_ylabel("true class (top), share of the column", fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    set_title(figure, title)
    return figure


def crops_figure(
    images: Sequence[npt.NDArray[np.uint8]],
    labels: Sequence[int],
    probabilities: Sequence[float],
    title: str,
    columns: int = 4,
) -> Figure:
    """Sheet of crops: a frame and a mark for right or wrong, predicted and true class, probability.

    Args:
        images: grey crops, 0..255; each (H, W), sizes may differ.
        labels: 0 benign, 1 malignant.
        probabilities: of malignant, 0..1; above 0.5 the crop is called malignant.
        title: of the whole sheet.
        columns: crops a row, from 1.

    Raises:
        ValueError: the three sequences differ in length.
    """
    rows = max(1, math.ceil(len(images) / columns))
    height = _ABOVE + _ROW * rows + _BELOW
    figure = Figure(figsize=(_WIDTH, height))
    # one panel measured in inches, downwards: twelve of matplotlib's take four times as long
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_axis_off()
    legend = "p: probability of malignant; ✓ solid: right, ✗ dashed: wrong"
    panel.text(_WIDTH / 2, height - 0.08, legend, fontsize=7, color=_INK, ha="center")
    cell = _WIDTH / columns
    for place, (image, label, probability) in enumerate(
        zip(images, labels, probabilities, strict=True)
    ):
        row, column = divmod(place, columns)
        middle, top = cell * (column + 0.5), _ABOVE + _ROW * row + _CAPTION
        predicted = int(probability > 0.5)
        right = predicted == label
        mark, colour = ("✓", _BLUE) if right else ("✗", _VERMILION)
        called = f"{mark} called {CLASSES[predicted]}\nis {CLASSES[label]}, p {probability:.2f}"
        panel.text(middle, top - 0.05, called, fontsize=6.8, color=colour, ha="center")
        scale = min(cell - 0.16, _ROW - _CAPTION - 0.08) / max(image.shape)
        high, wide = image.shape[0] * scale, image.shape[1] * scale
        left, right_edge = middle - wide / 2, middle + wide / 2
        extent = (left, right_edge, top + high, top)
        panel.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
        frame = Rectangle((left, top), wide, high, fill=False, edgecolor=colour, linewidth=4)
        frame.set_linestyle("-" if right else "--")
        panel.add_patch(frame)
    panel.set(xlim=(0, _WIDTH), ylim=(height, 0), aspect="auto")
    set_title(figure, title, 1 - 0.08 / height)
    return figure


def _panel(
    panel: Axes, iterations: Sequence[int], train: Sequence[float], validation: Sequence[float]
) -> None:
    panel.plot(iterations, train, color=_BLUE, linewidth=1.4, label="training")
    (line,) = panel.plot(iterations, validation, "--", color=_INK, linewidth=1.2)
    # markers make a lone evaluation visible and would only blur a long curve
    line.set(label="validation", marker="o" if len(iterations) <= 40 else "", markersize=2.5)
    panel.grid(color="#e4e4e4", linewidth=0.6)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def _cell(
    axes: Axes, x: float, y: float, text: str, right: bool, depth: float, large: bool
) -> None:
    """One unit square at (x, y) downwards; `depth` 0..1 is the opacity of its colour."""
    colour = _BLUE if right else _VERMILION
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, alpha=depth, linewidth=0))
    axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor="white", linewidth=1.5))
    size = 12 if large else 9
    # the ink is readable on both colours at any depth drawn here
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=size, color=_INK)
