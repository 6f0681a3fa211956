"""How a region comes to the network's square: against hand-made pictures and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mcalc.config import Fit
from mcalc.data.images.resize import fit

BLOCKS = np.array([[10, 200], [90, 40]], dtype=np.uint8)


def test_shrinking_averages_and_growing_keeps_the_range() -> None:
    # 4 x 4 blocks of one value each shrink to exactly those values
    assert (fit(np.kron(BLOCKS, np.ones((4, 4), np.uint8)), 2) == BLOCKS).all()
    grown = fit(BLOCKS, 8)
    assert grown.min() >= 10
    assert grown.max() <= 200


@pytest.mark.parametrize(("shape", "how"), [((40, 90), "area"), ((5, 9), "linear")])
def test_stretching_is_opencvs(shape: tuple[int, int], how: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    flag = cv2.INTER_AREA if how == "area" else cv2.INTER_LINEAR
    np.testing.assert_array_equal(fit(pixels, 32), cv2.resize(pixels, (32, 32), interpolation=flag))


@pytest.mark.parametrize("scale", [1, 4])
def test_letterbox_keeps_the_aspect_between_black_bars(scale: int) -> None:
    # twice as wide as high: half the square's rows are bars
    pixels = np.full((8 * scale, 16 * scale), 200, np.uint8)
    boxed = fit(pixels, 16, Fit.letterbox)
    assert (boxed[4:12] == 200).all()
    assert not boxed[:4].any()
    assert not boxed[12:].any()
    np.testing.assert_array_equal(fit(pixels.T, 16, Fit.letterbox), boxed.T)


def test_letterbox_of_a_sliver_keeps_a_row() -> None:
    boxed = fit(np.full((1, 500), 90, np.uint8), 10, Fit.letterbox)
    assert np.count_nonzero(boxed) == 10
    assert (boxed[boxed > 0] == 90).all()


@pytest.mark.parametrize("side", [24, 40, 80, 200])
@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0])
def test_native_keeps_scale_whatever_the_size(side: int, scale: float) -> None:
    pixels = np.full((side, side), 100, np.uint8)
    middle = slice(side // 2 - 4, side // 2 + 4)
    pixels[middle, middle] = 250
    fitted = fit(pixels, 40, Fit.native, scale)
    # eight pixels of the image, centred, are 8 x scale of the network's
    lesion, tissue = fitted == 250, fitted > 0
    assert np.count_nonzero(lesion) == (8 * scale) ** 2
    assert lesion[20 - int(4 * scale), 20 - int(4 * scale)]
    assert np.count_nonzero(tissue) == min(40, side * scale) ** 2


def test_native_grows_what_is_seen_only() -> None:
    # grown whole this would be 40 gigabytes
    pixels = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    fitted = fit(pixels, 64, Fit.native, 1000.0)
    assert fitted.shape == (64, 64)
    assert set(np.unique(fitted)) <= {99, 100}


@pytest.mark.parametrize("how", list(Fit))
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 3), (32, 32), (333, 517)])
def test_any_shape_becomes_the_square(how: Fit, shape: tuple[int, int]) -> None:
    fitted = fit(np.full(shape, 255, np.uint8), 32, how, 0.3)
    assert fitted.shape == (32, 32)
    assert fitted.dtype == np.uint8
    assert fitted.max() == 255
