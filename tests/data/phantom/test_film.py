"""The phantom's full images: breast, muscle, skin, background, and the crops cut out of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from scipy import ndimage

from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.cases import phantom_rows
from mcalc.data.phantom.download import write_phantom
from mcalc.data.phantom.film import breast_film
from mcalc.data.phantom.grid import FilmGrid, film_grid
from mcalc.data.phantom.outline import outline_mask

GRID = FilmGrid(512, 384, 4)
SEEDS = range(12)


def film(mlo: bool, seed: int, grid: FilmGrid = GRID, density: int = 2) -> npt.NDArray[np.float32]:
    return breast_film(mlo, density, grid, np.random.default_rng(seed))


def breast_of(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The largest bright component that lies at the chest wall."""
    labels, count = ndimage.label(pixels > 0.12)
    assert count
    largest = 1 + int(np.argmax(ndimage.sum_labels(labels > 0, labels, range(1, count + 1))))
    return np.asarray(labels == largest)


# --- grid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "columns", "magnification"),
    [(256, 192, 8), (512, 384, 4), (513, 384, 2), (1024, 768, 2), (1025, 768, 1), (8192, 6144, 1)],
)
def test_small_films_are_coarser_than_their_crops(
    height: int, columns: int, magnification: int
) -> None:
    grid = film_grid(PhantomConfig(full_height=height))
    assert (grid.shape, grid.magnification) == ((height, columns), magnification)


# --- film ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mlo", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_breast_hangs_on_the_chest_wall_and_ends_before_the_other_edge(
    mlo: bool, seed: int
) -> None:
    breast = breast_of(film(mlo, seed))
    rows, columns = np.nonzero(breast)
    assert columns.min() == 0
    assert 0.75 * 384 < columns.max() < 0.97 * 384
    assert 0.3 < breast.mean() < 0.75
    # the oblique view leaves the film at its upper edge, the other one does not
    assert (rows.min() == 0) == mlo
    assert rows.max() < 0.995 * 512


@pytest.mark.parametrize("seed", SEEDS)
def test_the_muscle_is_a_bright_wedge_of_the_oblique_view_only(seed: int) -> None:
    def brighter_than_breast(mlo: bool) -> float:
        pixels = film(mlo, seed)
        return float(pixels[20:80, 0:40].mean() - pixels[230:330, 60:200].mean())

    assert brighter_than_breast(True) > brighter_than_breast(False) + 0.05


def test_the_skin_is_a_bright_line() -> None:
    """Along the middle row, from air inwards: up to a local maximum, then down again."""
    lines = []
    for seed in range(4):
        pixels = film(False, seed, FilmGrid(2048, 1536, 1))
        breast = breast_of(pixels)
        # off the nipple, which stands out
        row = 2048 // 2 + 200
        edge = int(np.nonzero(breast[row])[0].max())
        lines.append(pixels[row, edge - 60 : edge + 20])
    profile = np.mean(lines, axis=0)
    skin = profile[50:62].max()
    # thickness alone would rise steadily from the skin inwards
    slope_at_skin = skin - profile[70:].mean()
    assert slope_at_skin > 0.1
    assert profile[79] < 0.06


@pytest.mark.parametrize("mlo", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_beside_the_breast_lie_fog_and_a_plate_apart_from_it(mlo: bool, seed: int) -> None:
    pixels = film(mlo, seed)
    breast = ndimage.binary_dilation(breast_of(pixels), iterations=3)
    outside = pixels[~breast]
    assert 0.01 < np.median(outside) < 0.05, "film is never quite black"
    plate = (pixels > 0.5) & ~breast
    assert plate.sum() > 200
    where = np.argwhere(plate[8:-8, :-8])
    assert where[:, 1].min() > 0.7 * 384, "in a corner far from the chest wall"


def test_some_films_have_a_bright_edge() -> None:
    bright = [bool((film(False, seed)[-1] > 0.4).all()) for seed in range(40)]
    assert 5 <= sum(bright) <= 25


def test_denser_breasts_are_brighter() -> None:
    means = [
        np.mean([film(False, seed, density=d)[200:300, 50:150] for seed in SEEDS]) for d in (1, 4)
    ]
    assert means[1] > means[0] + 0.05


# --- lesions' places and outlines ---------------------------------------------------------------


@pytest.mark.parametrize("height", [256, 512, 777, 4096])
def test_lesions_lie_within_the_film_apart_from_each_other(height: int) -> None:
    settings = PhantomConfig(lesions=600, seed=1, full_height=height)
    grid = film_grid(settings)
    films: dict[str, list[PhantomRow]] = {}
    for row in phantom_rows(settings):
        films.setdefault(row.image_case, []).append(row)
    assert max(map(len, films.values())) > 3
    for rows in films.values():
        covered = np.zeros(grid.shape, dtype=np.uint8)
        for row in rows:
            covered[row.box] += 1
            assert covered[row.box].shape == (row.area.height, row.area.width)
            assert (row.height, row.width) == (
                row.area.height * grid.magnification,
                row.area.width * grid.magnification,
            )
        assert covered.max() == 1
        assert all(row.height * row.width < grid.rows * grid.columns for row in rows)


@pytest.mark.parametrize("shape", [(2, 2), (10, 17), (41, 30), (300, 180)])
def test_an_outline_touches_all_edges_of_its_box_and_has_no_holes(shape: tuple[int, int]) -> None:
    for seed in SEEDS:
        mask = outline_mask(shape, np.random.default_rng(seed)) > 0
        assert mask[0].any()
        assert mask[-1].any()
        assert mask[:, 0].any()
        assert mask[:, -1].any()
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
        assert (ndimage.binary_fill_holes(mask) == mask).all()


def test_outlines_are_irregular() -> None:
    """An ellipse in its box covers pi/4 of it, and looks the same upside down."""
    masks = [outline_mask((200, 150), np.random.default_rng(seed)) > 0 for seed in SEEDS]
    turned = [float((mask != mask[::-1, ::-1]).mean()) for mask in masks]
    assert np.median(turned) > 0.03
    assert np.std([mask.mean() for mask in masks]) > 0.01


# --- large films --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PhantomConfig(lesions=8, seed=5, full_height=2048)
    return write_phantom(tmp_path_factory.mktemp("large") / "phantom", settings)


def test_crops_of_a_large_film_are_exact_cuts_at_the_masks_bounding_box(large: Path) -> None:
    """But for the stretch to 16 bits that CBIS-DDSM's crops have."""
    checked = 0
    for name in ("calc_case_description_train_set.csv", "calc_case_description_test_set.csv"):
        with (large / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            full, crop, mask = (
                pydicom.dcmread(large / row[column].strip())
                for column in (
                    "image file path",
                    "cropped image file path",
                    "ROI mask file path",
                )
            )
            if crop.SeriesDescription == "ROI mask images":
                crop, mask = mask, crop
            assert (full.Rows, full.Columns) == (mask.Rows, mask.Columns) == (2048, 1536)
            (box,) = ndimage.find_objects(mask.pixel_array // 255)
            cut = full.pixel_array[box].astype(np.float64)
            expected = np.round((cut - cut.min()) / (cut.max() - cut.min()) * 65535)
            np.testing.assert_array_equal(crop.pixel_array, expected)
            checked += 1
    assert checked == 8
