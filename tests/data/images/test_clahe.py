"""CLAHE and 8 bits: one scene is one picture, whatever the depth of the file that shows it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mcalc.config import ClaheConfig
from mcalc.data.images.clahe import enhance, enhance_region
from mcalc.data.images.regions import Cut

OFF = ClaheConfig(enabled=False)
CLIP_LIMITS = (1.0, 3.5, 10.0)


def scene(height: int = 320, width: int = 240) -> npt.NDArray[np.float64]:
    """Tissue between 0 and 1 with fine bright spots, as on a crop."""
    y, x = np.mgrid[0:height, 0:width]
    tissue = 0.35 + 0.15 * np.sin(x / 40) * np.cos(y / 55) + 0.05 * np.sin(x / 7 + y / 9)
    spots = np.random.default_rng(0).random((height, width)) > 0.998
    grain = 0.01 * np.random.default_rng(1).standard_normal((height, width))
    return np.clip(tissue + grain + 0.4 * cv2.GaussianBlur(spots.astype(float), (5, 5), 1), 0, 1)


def at_depth(shown: npt.NDArray[np.float64], bits: int) -> npt.NDArray[np.uint8 | np.uint16]:
    """The scene in `bits` bits over the full range, as an image file of that depth holds it."""
    levels = np.rint(shown * (2**bits - 1))
    if bits <= 8:
        return levels.astype(np.uint8)
    return np.rint(levels * (65535 / (2**bits - 1))).astype(np.uint16)


def test_sixteen_bits_become_eight_over_the_full_range() -> None:
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    assert enhance(levels, OFF).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("limit", CLIP_LIMITS)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_one_scene_is_one_picture_at_every_depth(limit: float, bits: int) -> None:
    clahe = ClaheConfig(clip_limit=limit)
    shallow = enhance(at_depth(scene(), 8), clahe).astype(float)
    deep = enhance(at_depth(scene(), bits), clahe).astype(float)
    assert np.abs(deep - shallow).mean() <= 2
    # and CLAHE has done something to both
    assert np.abs(shallow - at_depth(scene(), 8)).mean() > 5


@pytest.mark.parametrize("bits", [8, 16])
def test_each_clip_limit_gives_another_picture(bits: int) -> None:
    pixels = at_depth(scene(), bits)
    contrast = [enhance(pixels, ClaheConfig(clip_limit=limit)).std() for limit in CLIP_LIMITS]
    assert contrast[0] < contrast[1] < contrast[2]


def test_eight_bits_are_equalised_as_by_opencv() -> None:
    pixels = at_depth(scene(), 8)
    reference = cv2.createCLAHE(3.5, (8, 8)).apply(pixels)
    np.testing.assert_array_equal(enhance(pixels, ClaheConfig()), reference)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3), (9, 500)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_clahe_takes_images_smaller_than_its_tiles(
    shape: tuple[int, int], depth: type[np.uint8 | np.uint16]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(depth)
    assert enhance(pixels, ClaheConfig()).shape == shape


def test_outside_the_breast_is_black_whatever_clahe_makes_of_it() -> None:
    pixels = np.random.default_rng(0).integers(20_000, 60_000, (96, 80), dtype=np.uint16)
    inside = np.zeros(pixels.shape, dtype=bool)
    inside[10:90, :50] = True
    shown = enhance_region(Cut(pixels, inside=inside, padding=(3, 4, 5, 6)), ClaheConfig())
    assert shown.shape == (96 + 7, 80 + 11)
    framed = np.zeros(shown.shape, dtype=bool)
    framed[3:-4, 5:-6] = inside
    assert shown[~framed].max() == 0
    # inside it is CLAHE of the whole region, as adapthisteq would see it
    np.testing.assert_array_equal(shown[3:-4, 5:-6][inside], enhance(pixels, ClaheConfig())[inside])
