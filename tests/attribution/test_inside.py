"""Shares of heat inside an outline, and the controls that know nothing of the image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from mcalc.attribution import centre_blob, mean_of_lesions, random_pixels, share_of_heat


def masks_of(n: int) -> npt.NDArray[np.bool_]:
    masks = np.zeros((n, 40, 60), dtype=bool)
    masks[:, 10:30, 15:45] = True  # a quarter of the image, in its middle
    return masks


def test_even_heat_has_the_share_of_the_area_and_no_heat_has_none() -> None:
    maps = np.ones((2, 40, 60), dtype=np.float32)
    maps[1] = 0
    shares = share_of_heat(maps, masks_of(2))
    assert shares[0] == pytest.approx(0.25)
    assert math.isnan(shares[1])
    assert mean_of_lesions(shares.tolist()).lesions == 1


def test_random_pixels_know_nothing_and_a_blob_finds_the_middle() -> None:
    masks = masks_of(30)
    drawn = share_of_heat(random_pixels(30, (40, 60), seed=3), masks)
    assert drawn.mean() == pytest.approx(0.25, abs=0.01)
    blob = centre_blob(30, (40, 60))
    assert blob.max() == pytest.approx(1)
    np.testing.assert_allclose(blob[0], blob[0, ::-1, ::-1], atol=1e-6)
    # one standard deviation to each side, of two that the image has
    assert share_of_heat(blob, masks)[0] == pytest.approx((0.6827 / 0.9545) ** 2, abs=0.01)


def test_the_interval_is_of_patients() -> None:
    """Lesions of one patient that are alike are worth one."""
    shares = np.random.default_rng(0).random(12)
    alone = mean_of_lesions(shares.tolist(), [f"p{i}" for i in range(12)])
    tripled = mean_of_lesions(np.repeat(shares, 3).tolist(), [f"p{i // 3}" for i in range(36)])
    assert tripled.mean == pytest.approx(alone.mean)
    assert (tripled.low, tripled.high) == pytest.approx((alone.low, alone.high))
    independent = mean_of_lesions(np.repeat(shares, 3).tolist())
    assert independent.high - independent.low < 0.7 * (alone.high - alone.low)
    # Student's t of independent numbers, by its formula
    half = 2.200985 * shares.std(ddof=1) / math.sqrt(12)
    assert (alone.low, alone.high) == pytest.approx((shares.mean() - half, shares.mean() + half))
    assert math.isnan(mean_of_lesions([0.5], ["p"]).low)
    assert math.isnan(mean_of_lesions([]).mean)
