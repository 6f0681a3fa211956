"""The breast on a mammogram: where it is, and at which edge its chest wall lies.

Works on digital images and on scanned film, whose background is not black, slopes, and holds
labels, scratches and bright edges. Found from pixels alone, at a size at which a nipple is still
a few pixels wide and a label is small beside the breast.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.data.images.grey_scale import GreyImage
from mcalc.data.records import Side

WORKING_EDGE = 512
"""Longer edge of the image in which the breast is searched, pixels."""
SMALLEST_SHARE = 0.02
"""Share of the image's area; anything smaller is not a breast."""

_OPENING = 0.05
"""Share of the working edge: strips and strokes of labels are thinner, a breast is thicker."""
_STEP_ABOVE_BACKGROUND = 0.15
"""Of the way from background to tissue; at the skin a film is thin."""
_WALL_DEPTH = 0.05
"""Share of the breast's width at its left and right that the chest wall is judged by."""
_WALL_LEAD = 0.2
"""How much more of its height the breast must fill at one end than at the other."""


class NoBreast(Exception):  # noqa: N818 - read as a sentence: `except NoBreast`
    """Nothing on the image is large and bright enough to be a breast."""


@dataclass(frozen=True, slots=True)
class Breast:
    """A breast within its image."""

    inside: npt.NDArray[np.bool_]
    """(h, w) of the bounding box: True on the breast."""
    left: int
    """First column of the bounding box, pixels of the image."""
    top: int
    """First row."""
    wall: Side | None
    """Edge of the image at which the chest wall lies; None where it is not clear."""


def find_breast(pixels: GreyImage) -> Breast:
    """The largest thing brighter than the background, holes filled, thin strips cut off.

    `pixels`: (H, W), uint8 or uint16, bright tissue on a darker background. An image without any
    background is all breast. Raises NoBreast.
    """
    height, width = pixels.shape
    shrink = min(1.0, WORKING_EDGE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    found = _largest(_above_background(np.asarray(small, dtype=np.float64)))
    left, top, w, h = (int(edge) for edge in cv2.boundingRect(found))
    if cv2.countNonZero(found) < SMALLEST_SHARE * found.size:
        raise NoBreast
    # back to the image's size: outermost edges, so that no pixel of the breast is cut off
    x0, y0 = int(left * width / size[0]), int(top * height / size[1])
    x1 = min(width, -int(-(left + w) * width // size[0]))
    y1 = min(height, -int(-(top + h) * height // size[1]))
    box = found[top : top + h, left : left + w]
    inside = cv2.resize(255 * box, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) > 127
    return Breast(np.asarray(inside, dtype=np.bool_), x0, y0, _wall(box))


def _above_background(small: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """1 where brighter than the background, (h, w)."""
    black, white = np.percentile(small, (0.1, 99.9))
    if white <= black:
        return np.full(small.shape, int(white > 0), dtype=np.uint8)
    levels = np.clip((small - black) / (white - black) * 255, 0, 255).astype(np.uint8)
    split, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    dark, bright = levels[levels <= split], levels[levels > split]
    background, tissue = float(np.median(dark)), float(np.median(bright))
    noise = 1.4826 * float(np.median(np.abs(dark - background)))
    step = max(_STEP_ABOVE_BACKGROUND * (tissue - background), min(4 * noise, split - background))
    return np.asarray(levels > background + step, dtype=np.uint8)


def _largest(bright: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """1 on the largest thick part and what adjoins it, holes filled."""
    reach = max(1, round(_OPENING * max(bright.shape) / 2))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    # the frame is dark, so that a bright strip along an edge is thin there too
    framed = np.pad(bright, reach + 1)
    core = cv2.morphologyEx(framed, cv2.MORPH_OPEN, disc)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(core)
    if count < 2:
        return np.zeros_like(bright)
    part = (parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    # what opening took off the breast itself (nipple, corners) lies close to it
    near = cv2.dilate(part, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach | 1, reach | 1)))
    whole = cv2.bitwise_and(near, framed)
    outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(framed)
    cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled[reach + 1 : -reach - 1, reach + 1 : -reach - 1]


def _wall(box: npt.NDArray[np.uint8]) -> Side | None:
    """The end at which the breast is tall; at the other one the nipple or the skin ends it."""
    depth = max(1, round(_WALL_DEPTH * box.shape[1]))
    lead = float(box[:, :depth].mean()) - float(box[:, -depth:].mean())
    if abs(lead) < _WALL_LEAD:
        return None
    return Side.LEFT if lead > 0 else Side.RIGHT
