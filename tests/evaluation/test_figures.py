from __future__ import annotations

import io

import cv2
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure

from mcalc.evaluation.figures import confusion_figure, crops_figure, curve_figure
from mcalc.evaluation.metrics import Confusion
from mcalc.results import CurvePoint

CURVE = tuple(
    CurvePoint(50 * i, 0.5 * i, 0.7 / i, 0.5 + 0.04 * i, 0.8 / i, 0.5 + 0.02 * i)
    for i in range(1, 8)
)


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """(H, W, 3) as drawn at 100 dots an inch."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    image = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, dtype=np.uint8)


def texts(figure: Figure) -> list[str]:
    """Every text of the panels."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.fixture
def confusion() -> Confusion:
    return Confusion(tn=30, fn=4, tp=12, fp=10)


def test_figures_are_drawn_400_pixels_wide_without_pyplot(confusion: Confusion) -> None:
    crops = [np.full((20, 30), 128, np.uint8)] * 5
    figures = (
        curve_figure(CURVE, "AL1", stopped_at=350),
        confusion_figure(confusion, "AL1"),
        crops_figure(crops, [0, 1, 0, 1, 0], [0.1, 0.9, 0.8, 0.2, 0.5], "AL1"),
    )
    for figure in figures:
        image = pixels(figure)
        assert image.shape[1] == 400
        assert image.std() > 5  # something was drawn
    assert plt.get_fignums() == []


def test_curve_holds_every_evaluation_and_the_stop() -> None:
    accuracy, loss = curve_figure(CURVE, "AL1", stopped_at=350).axes
    lines = {line.get_label(): line for line in accuracy.lines}
    assert list(lines["training"].get_xdata()) == [50, 100, 150, 200, 250, 300, 350]
    assert list(lines["validation"].get_ydata()) == pytest.approx([52, 54, 56, 58, 60, 62, 64])
    assert list(loss.lines[0].get_ydata()) == pytest.approx([0.7 / i for i in range(1, 8)])
    assert list(loss.lines[1].get_ydata()) == pytest.approx([0.8 / i for i in range(1, 8)])
    assert list(lines["stopped at 350"].get_xdata()) == [350, 350]


def test_curve_shows_the_commoner_class_and_where_other_patiences_stopped() -> None:
    figure = curve_figure(CURVE, "AL1", 350, majority=0.65, others={100: "AL5", 200: "AL6, AL7"})
    accuracy, loss = figure.axes
    level = {line.get_label(): line for line in accuracy.lines}["commoner class"]
    assert list(level.get_ydata()) == [65, 65]
    assert texts(figure) == ["AL5", "AL6, AL7"]
    for panel in (accuracy, loss):
        at = [line.get_xdata()[0] for line in panel.lines if len(set(line.get_xdata())) == 1]
        assert {100, 200, 350} <= set(at)


def test_curve_without_a_stop_marks_none() -> None:
    figure = curve_figure(CURVE, "AL1", stopped_at=None)
    assert [len(panel.lines) for panel in figure.axes] == [2, 2]


def test_one_evaluation_is_visible() -> None:
    alone, empty = curve_figure(CURVE[:1], "", None), curve_figure((), "", None)
    assert alone.axes[0].lines[1].get_marker() == "o"
    assert "no validation yet" in texts(empty)
    assert not np.array_equal(pixels(alone), pixels(empty))


def test_confusion_shows_counts_and_shares_of_rows_and_columns(confusion: Confusion) -> None:
    shown = texts(confusion_figure(confusion, "AL1"))
    assert shown[:4] == ["✓ 30", "✗ 10", "✗ 4", "✓ 12"]  # rows are the true class
    # of 40 benign 30 right; of 34 called benign 30 right; of 16 malignant 12; of 22 called so 12
    assert shown[4:] == [
        "75.0%", "25.0%", "88.2%", "11.8%", "75.0%", "25.0%", "54.5%", "45.5%",
    ]  # fmt: skip


def test_confusion_without_malignant_lesions_shows_dashes() -> None:
    shown = texts(confusion_figure(Confusion(tn=5, fn=0, tp=0, fp=0), "AL1"))
    assert shown.count("—") == 4  # the row and the column of malignant
    assert "nan%" not in shown


def test_crops_name_the_decision_the_truth_and_the_probability() -> None:
    crops = [np.zeros((10, 10), np.uint8)] * 3
    figure = crops_figure(crops, [1, 0, 1], [0.93, 0.71, 0.5], "AL1")
    (sheet,) = figure.axes
    assert [text for text in texts(figure) if "called" in text] == [
        "✓ called malignant\nis malignant, p 0.93",
        "✗ called malignant\nis benign, p 0.71",
        "✗ called benign\nis malignant, p 0.50",  # a tie is benign, as in the counts
    ]
    assert [frame.get_linestyle() for frame in sheet.patches] == ["-", "--", "--"]
    # each below its own words, on its own crop
    for words, frame, image in zip(sheet.texts[1:], sheet.patches, sheet.images, strict=True):
        left, right, bottom, top = image.get_extent()
        assert frame.get_bbox().extents == pytest.approx([left, top, right, bottom])
        assert left < words.get_position()[0] < right
        assert 0 < top - words.get_position()[1] < 0.2


def test_crops_of_different_sizes_keep_their_grey_levels() -> None:
    crops = [np.full((40, 20), 0, np.uint8), np.full((10, 30), 200, np.uint8)]
    figure = crops_figure(crops, [0, 1], [0.1, 0.9], "AL1", columns=2)
    shapes = [(40, 20), (10, 30)]
    for image, level, (height, width) in zip(figure.axes[0].images, (0, 200), shapes, strict=True):
        left, right, bottom, top = image.get_extent()
        assert (bottom - top) / (right - left) == pytest.approx(height / width)
        assert image.get_clim() == (0, 255)  # never stretched crop by crop
        assert int(np.asarray(image.get_array()).max()) == level
    assert crops[0].max() == 0


def test_crops_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        crops_figure([np.zeros((5, 5), np.uint8)] * 2, [0], [0.1, 0.2], "AL1")


def test_no_crop_is_an_empty_sheet() -> None:
    assert pixels(crops_figure([], [], [], "AL1")).shape[1] == 400


def test_a_name_is_no_formula(confusion: Confusion) -> None:
    assert pixels(confusion_figure(confusion, r"cost $\frac{1}{")).shape[1] == 400
