"""The breast on a mammogram: shapes drawn here, whose outline is known, and one real film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mcalc.data.images.breast import NoBreast, find_breast
from mcalc.data.images.image_file import read_image
from mcalc.data.records import Side

Drawn = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
HEIGHT, WIDTH = 1000, 700


def drawn(side: Side = Side.LEFT) -> Drawn:
    """Tissue 0.3 to 0.9, thinner to the skin, on black; and where it is."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    radius = ((y - 520) / 380) ** 2 + (x / 430) ** 2
    noise = cv2.resize(np.random.default_rng(0).random((40, 28)), (WIDTH, HEIGHT))
    inside = radius < 1
    image = np.where(inside, (0.3 + 0.3 * noise) + 0.3 * np.sqrt(np.clip(1 - radius, 0, 1)), 0.0)
    return (image, inside) if side is Side.LEFT else (image[:, ::-1], inside[:, ::-1])


def with_label(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    label = np.zeros(image.shape, np.uint8)
    cv2.putText(label, "L MLO", (480, 130), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 12)
    return np.maximum(image, label / 255)


def with_bright_border(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    image[:12] = image[-20:] = image[:, -15:] = 1.0
    return image


def with_grey_background(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    slope = np.linspace(0.08, 0.14, WIDTH)[None]
    return np.maximum(image, slope + np.random.default_rng(1).normal(0, 0.01, image.shape))


def with_scratches(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    for offset in (0, 25, 60):
        cv2.line(image, (500 + offset, 0), (WIDTH, 300 - offset), 0.8, 3)
    return image


def as_is(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return image


def overlap(pixels: npt.NDArray[np.uint8 | np.uint16], truth: npt.NDArray[np.bool_]) -> float:
    """Intersection over union with the outline drawn."""
    breast = find_breast(pixels)
    found = np.zeros_like(truth)
    height, width = breast.inside.shape
    found[breast.top : breast.top + height, breast.left : breast.left + width] = breast.inside
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "disturbed", [as_is, with_label, with_bright_border, with_grey_background, with_scratches]
)
def test_the_outline_is_found_whatever_is_in_the_background(
    disturbed: object, depth: type[np.uint8 | np.uint16]
) -> None:
    assert callable(disturbed)
    image, truth = drawn()
    pixels = np.rint(np.clip(disturbed(image.copy()), 0, 1) * np.iinfo(depth).max).astype(depth)
    assert overlap(pixels, truth) > 0.97


def test_all_disturbances_at_once_and_a_tenth_of_the_contrast() -> None:
    image, truth = drawn()
    for disturb in (with_label, with_scratches, with_bright_border):
        image = disturb(image)
    dull = np.rint((0.2 + 0.1 * with_grey_background(image)) * 65535).astype(np.uint16)
    assert overlap(dull, truth) > 0.97


@pytest.mark.parametrize("side", list(Side))
def test_the_chest_wall_is_where_the_breast_is_tall(side: Side) -> None:
    image, _ = drawn(side)
    assert find_breast((image * 255).astype(np.uint8)).wall is side


def test_the_bounding_box_holds_the_whole_breast() -> None:
    image, truth = drawn(Side.RIGHT)
    breast = find_breast((image * 255).astype(np.uint8))
    rows, columns = np.nonzero(truth)
    height, width = breast.inside.shape
    assert abs(breast.left - columns.min()) <= 4
    assert breast.left + width == WIDTH
    assert abs(breast.top - rows.min()) <= 4
    assert abs(breast.top + height - 1 - rows.max()) <= 4


def test_an_image_without_a_taller_end_has_no_wall() -> None:
    disc = np.zeros((400, 400), np.uint8)
    cv2.circle(disc, (200, 200), 120, 180, -1)
    assert find_breast(disc).wall is None


def test_an_image_without_background_is_all_breast() -> None:
    breast = find_breast(np.full((300, 200), 1000, np.uint16))
    assert breast.inside.shape == (300, 200)
    assert breast.inside.all()


@pytest.mark.parametrize("shape", [(300, 200), (1, 1), (3, 700)])
def test_black_images_hold_none(shape: tuple[int, int]) -> None:
    with pytest.raises(NoBreast):
        find_breast(np.zeros(shape, np.uint16))


def test_a_label_alone_is_not_a_breast() -> None:
    with pytest.raises(NoBreast):
        find_breast((with_label(np.zeros((HEIGHT, WIDTH))) * 255).astype(np.uint8))


@pytest.mark.shared
def test_a_real_film_with_scratches_and_a_white_edge(shared_data: Path) -> None:
    # looked at: the breast lies against the left edge, its nipple near column 1150, row 2560;
    # scratches in the upper right corner end at row 1300; the background is 0 but for them
    pixels = read_image(shared_data / "cbis-ddsm/full/Calc-Test_P_01536_RIGHT_CC.png")
    breast = find_breast(pixels)
    height, width = breast.inside.shape
    assert pixels.shape == (4771, 1801)
    assert breast.left == 0
    assert 1100 < width < 1250
    assert 150 < breast.top < 260
    assert 4400 < breast.top + height < 4600
    assert breast.wall is Side.LEFT
    assert breast.inside[2500 - breast.top, :1100].all()
    kept = np.zeros(pixels.shape, bool)
    kept[breast.top : breast.top + height, :width] = breast.inside
    # beside the white edge and the scratches, only the film's glow outside the skin is lost (2.1 %)
    tissue = np.s_[:, 40:1300]
    assert pixels[tissue][~kept[tissue]].sum() < 0.03 * pixels[tissue].sum()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "wall", "share"), [("fodicom_GH133", Side.RIGHT, 0.28), ("MG1_J2KI", Side.LEFT, 0.52)]
)
def test_real_digital_mammograms(shared_data: Path, name: str, wall: Side, share: float) -> None:
    pixels = read_image(shared_data / "dicom-syntaxes" / f"{name}.dcm")
    breast = find_breast(pixels)
    assert breast.wall is wall
    # the share of the image that the breast covers, outlined by eye
    assert abs(breast.inside.sum() / pixels.size - share) < 0.05
