"""Heat maps over their crops, with the maps that they must be better than below them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

_INK = "#222222"
_SIZE, _ABOVE, _LEFT, _GAP = 1.25, 0.36, 0.95, 0.05  # inches
_OUTLINE, _HALF = "#4fd1ff", "white"


def heat_figure(
    images: Sequence[npt.NDArray[np.uint8]],
    titles: Sequence[str],
    maps: Mapping[str, npt.NDArray[np.float32]],
    outlines: Sequence[npt.NDArray[np.bool_] | None],
    without_line: Collection[str] = (),
) -> Figure:
    """A column a crop, a row a kind of map, below a row of the crops themselves.

    Brighter is hotter, and a white line runs around what is at least half as hot as the hottest
    place. A dashed line is the lesion's outline. Where a map is zero everywhere, it says so.

    Args:
        images: grey crops, (H, W) each.
        titles: of each crop, up to two lines.
        maps: name of a row -> (n, H, W), 0..1.
        outlines: True on the lesion, or None where that is not known.
        without_line: names of rows without the white line: of pixels drawn singly it would be a
            fog.
    """
    columns, rows = len(images), 1 + len(maps)
    width = _LEFT + columns * (_SIZE + _GAP)
    height = _ABOVE + rows * (_SIZE + _GAP)
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(
        rows, columns, squeeze=False,
        gridspec_kw={
            "left": _LEFT / width, "right": 1.0, "top": 1 - _ABOVE / height, "bottom": 0.0,
            "wspace": _GAP / _SIZE, "hspace": _GAP / _SIZE,
        },
    )  # fmt: skip
    for place, image in enumerate(images):
        panels[0, place].set_title(titles[place], fontsize=8, color=_INK, pad=3)
        every = [("crop", None), *((name, maps[name][place]) for name in maps)]
        for row, (name, heat) in enumerate(every):
            axes = panels[row, place]
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
            if heat is not None:
                # the hotter, the less of the crop shows through
                axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.25 + 0.5 * heat)
                if name not in without_line and heat.max() > 0:
                    axes.contour(heat, levels=[0.5], colors=_HALF, linewidths=1)
                elif heat.max() <= 0:
                    axes.text(
                        0.5, 0.5, "no heat", color="white", fontsize=9, ha="center", va="center",
                        transform=axes.transAxes,
                    )  # fmt: skip
            outline = outlines[place]
            if outline is not None and outline.any() and not outline.all():
                axes.contour(outline, levels=[0.5], colors=_OUTLINE, linewidths=1, linestyles="--")
            if place == 0:
                axes.text(
                    -0.06, 0.5, name, fontsize=8.5, color=_INK, ha="right", va="center",
                    transform=axes.transAxes,
                )  # fmt: skip
    return figure
