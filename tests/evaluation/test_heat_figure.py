from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from mcalc.evaluation.heat_figure import heat_figure


def drawn(figure: Figure) -> npt.NDArray[np.uint8]:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    image = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, dtype=np.uint8)


def test_heat_is_brighter_where_it_is_hot_and_an_empty_map_says_so() -> None:
    images = [np.full((40, 40), 60, np.uint8)] * 2
    hot = np.zeros((2, 40, 40), np.float32)
    hot[0, 5:15, 5:15] = 1
    outline = np.zeros((40, 40), dtype=bool)
    outline[20:30, 20:30] = True
    figure = heat_figure(images, ["first", "second"], {"network": hot}, [outline, None])
    image = drawn(figure).astype(int)
    panels = [axes.get_window_extent() for axes in figure.axes]  # crop, crop, network, network
    height = image.shape[0]

    def part(panel: int, x: float, y: float) -> int:
        box = panels[panel]
        row = height - int(box.y1 - y * box.height)
        column = int(box.x0 + x * box.width)
        return int(image[row - 2 : row + 2, column - 2 : column + 2].mean())

    assert part(2, 0.25, 0.25) > part(2, 0.75, 0.25) + 40
    assert part(2, 0.25, 0.25) > part(0, 0.25, 0.25) + 40
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sorted(texts) == ["crop", "network", "no heat"]
    assert [axes.get_title() for axes in figure.axes][:2] == ["first", "second"]


def test_the_outline_is_drawn_where_it_is_known() -> None:
    images = [np.full((40, 40), 60, np.uint8)]
    maps = {"network": np.full((1, 40, 40), 0.1, np.float32)}
    outline = np.zeros((40, 40), dtype=bool)
    outline[10:30, 10:30] = True
    without = drawn(heat_figure(images, [""], maps, [None]))
    known = drawn(heat_figure(images, [""], maps, [outline]))
    assert (without != known).any()
