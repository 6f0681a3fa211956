"""The figure of a report's first screen: every row's estimate with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc.evaluation.figure_text import set_title, shortened, text_width

_OURS = "#0072b2"
_PAPERS = "#d55e00"
_GREY = "#777777"
_LINES = (":", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
_WIDTH = 4.8
"""Inches of a panel, its rows' labels among them."""
_ROW, _LOW_ROW, _MANY = 0.23, 0.16, 24
"""Inches of a row, and of one among more than so many."""
_MOST_LABELLED = 60
"""Rows that have a name and a bar of their own; more are dots on a band, sorted by estimate."""
_CROWDED_HEIGHT = 5.0
"""Inches of all rows together, where they have no height of their own."""
_LONGEST = 165
"""Points that a row's label may be wide."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A row of the figure. Shares and areas, 0..1; nan where a value is not known."""

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    """Of one run the ends of its 95 % interval; of several, mean less and plus one SD."""
    runs: tuple[float, ...] = ()
    """Of several runs, the value of each."""
    paper: tuple[float, float, float] | None = None
    """The paper's value and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity of all rows."""

    quantity: str
    """`AUC`, with what it is measured on."""
    estimates: Sequence[Estimate]
    lines: Mapping[str, float]
    """What a line across all rows is -> where it stands: `crop size alone` -> 0.68. Those of nan
    are left out."""


def interval_figure(panels: Sequence[Panel], title: str = "") -> Figure:
    """Estimates as dots with their intervals, the paper's as open diamonds below ours.

    Args:
        panels: side by side; all have the same rows, whose names stand once.
        title: of the whole figure.

    Above 60 rows bars would cover one another and names would not be read. There each panel has its
    rows sorted, the highest on top: a dot each, on the band of their intervals, without names.
    """
    rows = max((len(panel.estimates) for panel in panels), default=0)
    crowded = rows > _MOST_LABELLED
    inside = (
        _CROWDED_HEIGHT
        if crowded
        else max(1.0, (_ROW if rows <= _MANY else _LOW_ROW) * rows + 0.25)
    )
    above, below = 0.38 if title else 0.12, 1.0
    height = inside + above + below
    size = 8 if rows <= _MANY else 6.5
    first = () if crowded or not rows else panels[0].estimates
    names = [shortened(each.label, _LONGEST, size) for each in first]
    margin = 0.3 + max((text_width(name, size) for name in names), default=0.0) / 72
    width = margin + (_WIDTH - 1.2) * len(panels) + 0.1
    figure = Figure(figsize=(width, height))
    wide = (width - margin - 0.1) / len(panels)
    for place, panel in enumerate(panels):
        left = (margin + place * wide) / width
        axes = figure.add_axes((left, below / height, (wide - 0.15) / width, inside / height))
        _draw(axes, panel, crowded)
        axes.set_yticks([])
        if place == 0 and not crowded:
            axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)
        handles, labels = _entries(axes)
        axes.legend(
            handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.5 / inside), ncols=2,
            fontsize=7, frameon=False, borderaxespad=0,
        )  # fmt: skip
    if title:
        set_title(figure, title)
    return figure


def _draw(axes: Axes, panel: Panel, crowded: bool) -> None:
    for style, (name, where) in zip(_LINES, _known(panel.lines), strict=False):
        axes.axvline(
            where, color=_GREY, linestyle=style, linewidth=1.1, label=f"{name}: {where:.3f}"
        )
    if crowded:
        _band(axes, panel.estimates)
    else:
        _bars(axes, panel.estimates)
    axes.set_ylim(len(panel.estimates) - 0.4, -0.6)  # the first row on top
    axes.set_xlabel(panel.quantity, fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _bars(axes: Axes, estimates: Sequence[Estimate]) -> None:
    """A dot on a bar for each row."""
    both = any(each.paper for each in estimates)
    shift = 0.16 if both else 0.0
    several = any(each.runs for each in estimates)
    for row, each in enumerate(estimates):
        _bar(axes, row - shift, (each.value, each.low, each.high), _OURS, "o")
        if each.runs:
            axes.plot(
                each.runs, [row - shift] * len(each.runs), linestyle="none", marker="|",
                markersize=7, color=_OURS, alpha=0.55,
            )  # fmt: skip
        if each.paper is not None:
            _bar(axes, row + shift, each.paper, _PAPERS, "D", open_marker=True)
    ours = "mean ± SD, each run a stroke" if several else "ours, 95 % interval"
    axes.plot([], [], color=_OURS, marker="o", markersize=4, linewidth=1.5, label=ours)
    if both:
        axes.plot([], [], color=_PAPERS, marker="D", markerfacecolor="white", markersize=4,
                  linewidth=1.2, label="the paper's, 95 % interval")  # fmt: skip


def _band(axes: Axes, estimates: Sequence[Estimate]) -> None:
    """A dot for each row, the highest on top, on the band of all intervals."""
    known = sorted((e for e in estimates if not math.isnan(e.value)), key=lambda e: -e.value)
    rows = range(len(known))
    dot, band = ("mean", "± SD") if any(e.runs for e in known) else ("ours", "95 % interval")
    axes.fill_betweenx(
        rows, [e.low for e in known], [e.high for e in known],
        step="mid", color=_OURS, alpha=0.22, linewidth=0, label=band,
    )  # fmt: skip
    # dots of neighbours touch where there are hundreds, and are then read as a curve
    axes.plot(
        [e.value for e in known], rows, linestyle="none", marker="o", color=_OURS,
        markersize=min(2.5, max(1.0, 72 * _CROWDED_HEIGHT / len(estimates))), label=dot,
    )  # fmt: skip
    papers = [(e.paper[0], row) for row, e in enumerate(known) if e.paper is not None]
    if papers:
        axes.plot(
            *zip(*papers, strict=True), linestyle="none", marker="D", color=_PAPERS,
            markersize=3, markerfacecolor="white", label="the paper's",
        )  # fmt: skip
    order = f"{len(known)} rows, sorted, the highest on top"
    axes.set_ylabel(order, fontsize=8, labelpad=2)


def _bar(
    axes: Axes,
    row: float,
    estimate: tuple[float, float, float],
    colour: str,
    marker: str,
    *,
    open_marker: bool = False,
) -> None:
    value, low, high = estimate
    if math.isnan(value):
        return
    if not math.isnan(low) and not math.isnan(high):
        axes.plot([low, high], [row, row], color=colour, linewidth=1.5)
    axes.plot(
        [value], [row], marker=marker, markersize=4.5, color=colour,
        markerfacecolor="white" if open_marker else colour,
    )  # fmt: skip


def _known(lines: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(name, where) for name, where in lines.items() if not math.isnan(where)]


def _entries(axes: Axes) -> tuple[list[Artist], list[str]]:
    """Legend entries, what the marks are before what the lines are."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: ": 0" in labels[i] or ": 1" in labels[i])
    return [handles[i] for i in order], [labels[i] for i in order]
