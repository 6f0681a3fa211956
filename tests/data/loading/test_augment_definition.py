"""Augmentation does what its definition in albumentations' terms does, in distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from augment_case import NOTHING, WAYS, Changed
from scipy.stats import chisquare, ks_2samp
from torch import Tensor

from mcalc.config import AugmentConfig
from mcalc.data.loading.augment import _moved
from mcalc.data.loading.augment_amounts import amounts
from mcalc.data.loading.augment_batch import Changes
from mcalc.data.loading.augment_definition import transforms
from mcalc.data.loading.augment_draws import draw_of, matrix
from mcalc.data.loading.augment_on_device import DeviceAugment

Image = npt.NDArray[np.uint8]
DRAWS = 1500
CHANGES: dict[str, dict[str, float | bool]] = {
    "flips": {"flip_horizontal": True, "flip_vertical": True},
    "rotation": {"rotation": 30},
    "scale": {"scale": 0.2},
    "shift": {"translate": 0.1},
    "brightness": {"brightness": 0.3},
    "contrast": {"contrast": 0.4},
    "noise": {"noise": 0.1},
    "moves and flips": {
        "rotation": 180, "scale": 0.3, "translate": 0.2, "flip_horizontal": True,
        "flip_vertical": True,
    },
    "colours": {"brightness": 0.6, "contrast": 0.6, "noise": 0.2},
}  # fmt: skip


@pytest.fixture(scope="module")
def picture() -> Image:
    """Blobs off the centre, unlike their mirror images, between black and white."""
    y, x = np.mgrid[:64, :80].astype(np.float64)
    grey = 90 + 130 * np.exp(-((x - 22) ** 2 + (y - 15) ** 2) / 90)
    grey += 60 * np.exp(-((x - 55) ** 2 / 30 + (y - 40) ** 2 / 160)) - x / 2
    return np.asarray(grey.clip(0, 255), dtype=np.uint8)


@pytest.fixture(scope="module", params=WAYS)
def changed(request: pytest.FixtureRequest) -> Changed:
    return WAYS[request.param]


def ours(changed: Changed, settings: AugmentConfig, image: Image) -> list[Image]:
    return changed(settings, 11, image, [(1, position) for position in range(DRAWS)])


def theirs(settings: AugmentConfig, image: Image) -> list[Image]:
    compose = A.Compose(transforms(settings))
    found = []
    for position in range(DRAWS):
        # Compose's own seed is the same in every step, whose draws would then go together
        for number, step in enumerate(compose.transforms):
            step.set_random_seed(position * len(compose.transforms) + number)
        found.append(compose(image=image)["image"])
    return found


def measures(images: list[Image]) -> dict[str, npt.NDArray[np.float64]]:
    """What tells images apart: levels, spread, where the light is, single pixels, roughness."""
    stack = np.stack(images).astype(np.float64)
    y, x = np.mgrid[: stack.shape[1], : stack.shape[2]]
    total = stack.sum((1, 2)) + 1
    found = {
        "mean": stack.mean((1, 2)),
        "spread": stack.std((1, 2)),
        "light across": (stack * x).sum((1, 2)) / total,
        "light down": (stack * y).sum((1, 2)) / total,
        "a pixel": stack[:, 15, 22],
        "another pixel": stack[:, 40, 55],
        "at the border": stack[:, 1, 0],
        "roughness": np.abs(np.diff(stack, axis=2)).mean((1, 2)),
        "black": (stack == 0).mean((1, 2)),
        "white": (stack == 255).mean((1, 2)),
    }
    # the order of summing is another in a mirror image
    return {name: values.round(6) for name, values in found.items()}


@pytest.mark.whole
@pytest.mark.parametrize("name", [*CHANGES, "all of the defaults", "as strong as it goes"])
def test_both_have_one_distribution(name: str, changed: Changed, picture: Image) -> None:
    settings = replace(NOTHING, **CHANGES.get(name, {}))
    if name == "all of the defaults":
        settings = AugmentConfig()
    if name == "as strong as it goes":
        settings = AugmentConfig(strength=10)
    mine, definition = (
        measures(ours(changed, settings, picture)),
        measures(theirs(settings, picture)),
    )
    # ten measures of eleven settings: by chance one fails in ninety, and the draws are fixed
    for measure, values in mine.items():
        found = ks_2samp(values, definition[measure])
        assert found.pvalue > 1e-4, (measure, found, values[:5], definition[measure][:5])


def test_flips_are_independent_halves(changed: Changed, picture: Image) -> None:
    settings = replace(NOTHING, flip_horizontal=True, flip_vertical=True)
    kinds = [picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1]]
    drawn = ours(changed, settings, picture)
    counts = [sum(np.array_equal(each, kind) for each in drawn) for kind in kinds]
    assert sum(counts) == DRAWS
    assert chisquare(counts).pvalue > 1e-4


def only_moved(sources: Tensor) -> Changes:
    """Changes of the mini-batch of one that nothing recolours."""
    empty = torch.empty(0, dtype=torch.int64)
    zero = torch.zeros(1, dtype=torch.int64)
    return Changes(zero, empty, zero, sources, empty, empty, empty)


def inverse(value: float, amount: float) -> float:
    """The uniform number that draws a value from -amount to amount."""
    return (value / amount + 1) / 2


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("angle", "scales", "shifts"),
    [
        (0.0, (1.0, 1.0), (0, 0)),
        (30.0, (1.0, 1.0), (0, 0)),
        (0.0, (1.2, 0.8), (0, 0)),
        (0.0, (1.0, 1.0), (7, -5)),
        (-75.0, (0.8, 1.15), (-6, 3)),
    ],
)
def test_with_the_same_draws_the_warp_is_the_same(
    picture: Image,
    angle: float,
    scales: tuple[float, float],
    shifts: tuple[int, int],
    flips: tuple[bool, bool],
) -> None:
    definition: list[Callable[..., dict[str, Image]]] = []
    if flips[0]:
        definition.append(A.HorizontalFlip(p=1))
    if flips[1]:
        definition.append(A.VerticalFlip(p=1))
    definition.append(
        A.Affine(
            rotate=(angle, angle),
            scale={"x": (scales[0], scales[0]), "y": (scales[1], scales[1])},
            translate_px={"x": (shifts[0], shifts[0]), "y": (shifts[1], shifts[1])},
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REFLECT_101,
            p=1,
        )
    )
    expected = A.Compose(definition)(image=picture)["image"]
    settings = AugmentConfig(rotation=180, scale=0.5, translate=0.5)
    height, width = picture.shape
    uniform = [0.1 if flips[0] else 0.9, 0.1 if flips[1] else 0.9]
    uniform += [inverse(each - 1, 0.5) for each in scales]
    uniform.append(inverse(angle, 180))
    # half a pixel more: what is cut to whole pixels
    uniform += [
        inverse((each + 0.4 * np.sign(each)) / length, 0.5)
        for each, length in zip(shifts, (width, height), strict=True)
    ]
    drawn = np.array(uniform)
    there = matrix(amounts(settings), drawn, width, height)
    sources = torch.from_numpy(cv2.invertAffineTransform(there).reshape(1, 6)).float()
    on_device = DeviceAugment(height, width, torch.device("cpu"))
    images = torch.from_numpy(picture)[None]
    for found in (
        _moved(picture, amounts(settings), drawn),
        on_device(images, only_moved(sources))[0].numpy(),
    ):
        difference = np.abs(found.astype(int) - expected.astype(int))
        # OpenCV may interpolate at 32nds of a pixel, where rounding differs
        assert difference.max() <= 12
        assert difference.mean() < 0.15


@pytest.mark.parametrize("shape", [(227, 227), (64, 64), (40, 90), (33, 7), (5, 5)])
@pytest.mark.parametrize("strength", [0.3, 1.0, 4.0])
def test_mirroring_before_the_warp_gives_what_mirroring_within_it_gives(
    shape: tuple[int, int], strength: float
) -> None:
    height, width = shape
    noise = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    amount, differences = amounts(AugmentConfig(strength=strength)), []
    for position in range(200):
        drawn = draw_of(1, 2, position).moving
        there = matrix(amount, drawn, width, height)
        expected = cv2.warpAffine(
            noise, there, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        differences.append(_moved(noise, amount, drawn).astype(int) - expected)
    # the places of pixels are rounded otherwise by a last bit
    assert np.abs(differences).max() <= 1
    assert np.mean(np.array(differences) != 0) < 5e-4


def test_pictures_of_any_shape(changed: Changed) -> None:
    for shape in ((1, 1), (1, 9), (7, 1), (16, 300), (1100, 1100)):
        image = np.full(shape, 100, dtype=np.uint8)
        (found,) = changed(AugmentConfig(), 0, image, [(0, 0)])
        assert found.shape == shape
        assert found.dtype == np.uint8
