"""Augmentation: each change can be switched on alone, and a draw depends on its place alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from augment_case import NOTHING, WAYS, Changed

from mcalc.config import AugmentConfig

Draws = Callable[[AugmentConfig, npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]]


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(60, 190, (64, 64), dtype=np.uint8)


@pytest.fixture(params=WAYS)
def changed(request: pytest.FixtureRequest) -> Changed:
    return WAYS[request.param]


@pytest.fixture
def draws(changed: Changed) -> Draws:
    """The image in twenty epochs."""
    return lambda settings, image: changed(settings, 0, image, [(e, 0) for e in range(20)])


def test_disabled_or_all_off_changes_nothing(draws: Draws, image: npt.NDArray[np.uint8]) -> None:
    for settings in (NOTHING, replace(AugmentConfig(), enabled=False)):
        assert all((drawn == image).all() for drawn in draws(settings, image))


def test_flips_are_the_exact_mirror_images(draws: Draws, image: npt.NDArray[np.uint8]) -> None:
    drawn = {d.tobytes() for d in draws(replace(NOTHING, flip_horizontal=True), image)}
    assert drawn == {image.tobytes(), np.ascontiguousarray(image[:, ::-1]).tobytes()}
    drawn = {d.tobytes() for d in draws(replace(NOTHING, flip_vertical=True), image)}
    assert drawn == {image.tobytes(), np.ascontiguousarray(image[::-1]).tobytes()}


def test_noise_has_the_standard_deviation_asked_for(
    draws: Draws, image: npt.NDArray[np.uint8]
) -> None:
    drawn = draws(replace(NOTHING, noise=0.05), image)
    spreads = [np.std(d.astype(float) - image) / 255 for d in drawn]
    assert 0 < max(spreads) < 0.055
    assert max(spreads) > 2 * min(spreads), "the strength is drawn anew for each image"
    assert abs(np.mean(drawn[0].astype(float) - image)) < 2


def test_brightness_shifts_and_contrast_stretches(
    draws: Draws, image: npt.NDArray[np.uint8]
) -> None:
    shifts = [
        np.mean(d.astype(float) - image) for d in draws(replace(NOTHING, brightness=0.1), image)
    ]
    assert max(np.abs(shifts)) <= 0.1 * 255 + 1
    assert max(shifts) > 2
    assert min(shifts) < -2
    gains = [np.std(d) / np.std(image) for d in draws(replace(NOTHING, contrast=0.2), image)]
    assert min(gains) < 0.95
    assert max(gains) > 1.05
    assert min(gains) > 0.78
    assert max(gains) < 1.22


def test_rotation_scale_and_shift_move_a_dot_as_far_as_allowed(draws: Draws) -> None:
    dot = np.zeros((101, 101), dtype=np.uint8)
    dot[49:52, 61:64] = 255  # 12 px right: its mirror images beyond the border stay out of view

    def radii(settings: AugmentConfig) -> npt.NDArray[np.float64]:
        found = []
        for drawn in draws(settings, dot):
            ys, xs = np.nonzero(drawn > 60)
            found.append(np.hypot(ys.mean() - 50, xs.mean() - 50))
        return np.array(found)

    assert radii(replace(NOTHING, rotation=180)) == pytest.approx(12, abs=1)
    scaled = radii(replace(NOTHING, scale=0.2))
    assert scaled.min() < 11.2
    assert scaled.max() > 12.8
    assert ((scaled > 9.2) & (scaled < 14.8)).all()
    shifted = radii(replace(NOTHING, translate=0.1))
    assert shifted.max() <= 12 + 10 * np.sqrt(2) + 1
    assert shifted.std() > 1


def test_rotation_turns_both_ways(draws: Draws) -> None:
    dot = np.zeros((101, 101), dtype=np.uint8)
    dot[49:52, 79:82] = 255  # 30 px right of the middle
    angles = []
    for drawn in draws(replace(NOTHING, rotation=20), dot):
        ys, xs = np.nonzero(drawn > 60)
        angles.append(np.degrees(np.arctan2(ys.mean() - 50, xs.mean() - 50)))
    assert max(np.abs(angles)) <= 21
    assert min(angles) < -5
    assert max(angles) > 5


@pytest.mark.parametrize("change", [{"rotation": 180}, {"scale": 0.5}, {"translate": 0.5}])
def test_what_lies_beyond_the_border_is_mirrored_and_not_black(
    draws: Draws, change: dict[str, float]
) -> None:
    grey = np.full((64, 64), 120, dtype=np.uint8)
    for drawn in draws(replace(NOTHING, **change), grey):
        assert (drawn == 120).all()


def test_brightness_is_a_share_of_the_range_whatever_the_image(draws: Draws) -> None:
    dark = np.full((32, 32), 30, dtype=np.uint8)
    shifts = [float(d.mean()) - 30 for d in draws(replace(NOTHING, brightness=0.1), dark)]
    # a tenth of 255 at most; a tenth of the image's mean would be 3
    assert 8 < max(shifts) <= 26
    assert -26 <= min(shifts) < -8


def test_a_draw_depends_on_seed_epoch_and_position_alone(
    changed: Changed, image: npt.NDArray[np.uint8]
) -> None:
    def drawn(epoch: int, position: int, seed: int = 1, before: int = 0) -> npt.NDArray[np.uint8]:
        others = [(7, 7 + each) for each in range(before)]
        found: npt.NDArray[np.uint8] = changed(
            AugmentConfig(), seed, image, [*others, (epoch, position)]
        )[-1]
        return found

    assert (drawn(3, 4) == drawn(3, 4, before=3)).all(), "what was drawn before does not matter"
    assert (drawn(3, 4) != drawn(3, 5)).any()
    assert (drawn(3, 4) != drawn(4, 4)).any()
    assert (drawn(3, 4) != drawn(3, 4, seed=2)).any()
    assert drawn(0, 0).dtype == np.uint8
    assert drawn(0, 0).shape == image.shape


def test_strength_multiplies_every_amount_but_the_flips(
    draws: Draws, image: npt.NDArray[np.uint8]
) -> None:
    settings = replace(AugmentConfig(), strength=0, flip_horizontal=False, flip_vertical=False)
    assert all((drawn == image).all() for drawn in draws(settings, image))
    twice = draws(replace(NOTHING, noise=0.02, strength=2), image)
    plain = draws(replace(NOTHING, noise=0.04), image)
    assert all((a == b).all() for a, b in zip(twice, plain, strict=True))
    flips = draws(replace(NOTHING, strength=0, flip_horizontal=True), image)
    assert any((drawn == image[:, ::-1]).all() for drawn in flips)
