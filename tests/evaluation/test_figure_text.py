"""Whatever a trial is called, its name in a picture is neither cut off nor in another's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from parameters import most_are_whole

from mcalc.evaluation import (
    Confusion,
    Estimate,
    Panel,
    confusion_figure,
    crops_figure,
    curve_figure,
    curves_figure,
    interval_figure,
    ladder_figure,
    reliability_figure,
    roc_figure,
)
from mcalc.evaluation.figure_text import shortened, text_width
from mcalc.results import CurvePoint

CURVE = tuple(CurvePoint(50 * i, 0.5 * i, 0.7 / i, 0.6, 0.8 / i, 0.6) for i in range(1, 8))
LABELS = np.tile([0, 1], 20)
SCORES = np.linspace(0.1, 0.9, 40)
CROPS = [np.full((20, 30), 128, np.uint8)] * 5

FIGURES: dict[str, Callable[[str], Figure]] = {
    "curve": lambda title: curve_figure(CURVE, title, 350, others={100: title}),
    "crops": lambda title: crops_figure(CROPS, [0] * 5, [0.1] * 5, title),
    "confusion": lambda title: confusion_figure(Confusion(tn=30, fn=4, tp=12, fp=10), title),
    "roc": lambda title: roc_figure({"network": (LABELS, SCORES)}, {"at 0.5": (0.3, 0.7)}, title),
    "reliability": lambda title: reliability_figure(LABELS, {"as stated": SCORES}, None, title),
    "curves": lambda title: curves_figure({title: (LABELS, SCORES)}, title),
    "ladder": lambda title: ladder_figure({"paper": {"0": 0.6}, "patient": {"0": 0.5}}, title),
    "intervals": lambda title: interval_figure([Panel("AUC", [Estimate(title, 0.5)], {})], title),
}
NAMES = [
    "head.weight_lr=1, head.weight_l2=2, stopping.patience=3",
    "backbone=alexnet, " + ", ".join(f"augment.option_{i}={i / 7}" for i in range(20)),
    f"/data/{'x' * 400}/network.pth",
    "M" * 300,
    r"a price in $ with \frac{1}{ and ^$",
    "several\nlines, and  spaces",
]


def box_of(figure: Figure, text: Text) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a text as shares of the figure, at 100 dots an inch."""
    figure.set_dpi(100)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    box = text.get_window_extent(canvas.get_renderer())
    width, height = canvas.get_width_height()
    return box.x0 / width, box.x1 / width, box.y0 / height, box.y1 / height


def title_of(figure: Figure) -> Text:
    title = figure._suptitle  # type: ignore[attr-defined]
    assert isinstance(title, Text)
    return title


@pytest.mark.parametrize("name", most_are_whole(NAMES, 2))
@pytest.mark.parametrize("kind", FIGURES)
def test_a_title_stands_inside_its_picture(kind: str, name: str) -> None:
    figure = FIGURES[kind](f"{name}: what it shows")
    title = title_of(figure)
    left, right, bottom, top = box_of(figure, title)
    assert left >= 0
    assert right <= 1
    assert top <= 1
    words = " ".join(title.get_text().split())
    assert words.startswith(name[:20].splitlines()[0])
    assert words.endswith("it shows")
    if kind != "crops":  # whose panel is the whole sheet
        assert bottom >= max(axes.get_position().y1 for axes in figure.axes)


@pytest.mark.parametrize("kind", FIGURES)
def test_a_title_of_several_lines_makes_no_panel_smaller(kind: str) -> None:
    def panels(title: str) -> list[tuple[float, float]]:
        figure = FIGURES[kind](title)
        width, height = figure.get_size_inches()
        boxes = [axes.get_position() for axes in figure.axes]
        return [(box.width * width, box.height * height) for box in boxes]

    for long, short in zip(panels(" ".join(["word"] * 40)), panels("word"), strict=True):
        assert long[1] == pytest.approx(short[1])
        if kind != "intervals":  # whose row has the name too, beside its panel
            assert long[0] == pytest.approx(short[0])


def test_a_title_is_whole_where_three_lines_hold_it() -> None:
    name = "head.weight_lr=1, head.weight_l2=2, stopping.patience=3"
    title = title_of(FIGURES["roc"](f"{name}: ROC")).get_text()
    assert title.replace("\n", " ") == f"{name}: ROC"
    assert title_of(FIGURES["roc"]("AL1: ROC")).get_text() == "AL1: ROC"


@pytest.mark.parametrize("name", most_are_whole(NAMES, 2))
def test_names_along_a_curve_stay_in_their_panel(name: str) -> None:
    figure = curve_figure(CURVE, "AL1", 350, others={100: name})
    (text,) = figure.axes[0].texts
    bottom, top = box_of(figure, text)[2:]
    panel = figure.axes[0].get_position()
    assert panel.y0 <= bottom < top <= panel.y1


@pytest.mark.parametrize("count", most_are_whole([12, 1, 2], 1))
@pytest.mark.parametrize("name", most_are_whole(NAMES, 2))
def test_a_legend_of_curves_has_every_name_below_the_panels(name: str, count: int) -> None:
    scorers = {f"{i}. {name}": (LABELS, SCORES) for i in range(count)}
    figure = curves_figure(scorers, "ROC")
    (legend,) = figure.legends
    assert len({text.get_text() for text in legend.get_texts()}) == count
    for text in legend.get_texts():
        left, right, bottom, top = box_of(figure, text)
        assert left >= 0
        assert right <= 1
        assert bottom >= 0
        assert top < min(axes.get_tightbbox().y0 for axes in figure.axes) / figure.bbox.height


@pytest.mark.parametrize("rows", most_are_whole([40, 1], 1))
@pytest.mark.parametrize("name", most_are_whole(NAMES, 2))
def test_names_of_rows_stand_beside_their_panel(name: str, rows: int) -> None:
    figure = interval_figure([Panel("AUC", [Estimate(name, 0.5)] * rows, {})])
    (axes,) = figure.axes
    labels = axes.get_yticklabels()
    assert len(labels) == rows
    left, right = box_of(figure, labels[0])[:2]
    assert 0 <= left < right <= axes.get_position().x0


def test_what_is_shortened_keeps_both_ends_and_fits() -> None:
    text = "head.weight_lr=1, stopping.patience=3"
    short = shortened(text, 60, 7)
    head, tail = short.split("…")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert text_width(short, 7) <= 60
    assert len(head) > 2
    assert len(tail) > 2
    assert shortened(text, 1000, 7) == text
