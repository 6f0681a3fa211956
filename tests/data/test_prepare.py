"""Prepared crops: pixels against OpenCV and hand-made cases, and a cache that several may share."""

from __future__ import annotations

import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from builders import make_lesion

from mcalc.config import ClaheConfig
from mcalc.data.prepare import Prepared, enhance, file_digests, fingerprint, fit, prepare
from mcalc.data.records import DefectKind, Lesion, Pathology
from mcalc.errors import UserError

OFF = ClaheConfig(enabled=False)


@pytest.fixture
def lesions(tmp_path: Path) -> list[Lesion]:
    draw = np.random.default_rng(2)
    folder = tmp_path / "crops"
    folder.mkdir()
    found = []
    for number, (height, width) in enumerate([(50, 70), (90, 40), (300, 200)]):
        pixels = draw.integers(0, 256, (height, width), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        found.append(make_lesion(number, crop=folder / f"{number}.png"))
    return found


def ready(lesions: list[Lesion], cache: Path, clahe: ClaheConfig = OFF, size: int = 32) -> Prepared:
    return prepare(lesions, file_digests(lesions), size, clahe, cache)


def test_pixels_are_those_of_the_file_resized(lesions: list[Lesion], tmp_path: Path) -> None:
    prepared = ready(lesions, tmp_path / "cache")
    assert prepared.images.shape == (3, 32, 32)
    assert prepared.images.dtype == np.uint8
    assert prepared.native_sizes.tolist() == [[70, 50], [40, 90], [200, 300]]
    assert prepared.lesions == tuple(lesions)
    for entry, image in zip(lesions, prepared.images, strict=True):
        pixels = cv2.imread(str(entry.crop), cv2.IMREAD_GRAYSCALE)
        assert pixels is not None
        expected = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(image, expected)


def test_shrinking_averages_and_growing_keeps_the_range() -> None:
    # 4 x 4 blocks of one value each shrink to exactly those values
    blocks = np.array([[10, 200], [90, 40]], dtype=np.uint8)
    assert (fit(np.kron(blocks, np.ones((4, 4), np.uint8)), 2) == blocks).all()
    grown = fit(blocks, 8)
    assert grown.min() >= 10
    assert grown.max() <= 200


def test_sixteen_bits_become_eight_over_the_full_range() -> None:
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    assert enhance(levels, OFF).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_clahe_raises_local_contrast_and_is_opencvs(depth: type[np.uint8 | np.uint16]) -> None:
    top = np.iinfo(depth).max
    draw = np.random.default_rng(0)
    flat = (top * (0.5 + 0.02 * draw.standard_normal((256, 256)))).astype(depth)
    enhanced = enhance(flat, ClaheConfig())
    assert enhanced.std() / 255 > 2 * flat.std() / top
    reference = cv2.createCLAHE(3.5, (8, 8)).apply(flat).astype(float)
    np.testing.assert_allclose(enhanced, reference * 255 / top, atol=0.51)


def test_the_second_time_nothing_is_decoded(lesions: list[Lesion], tmp_path: Path) -> None:
    first = ready(lesions, tmp_path / "cache")
    digests = file_digests(lesions)
    shutil.rmtree(tmp_path / "crops")
    again = prepare(lesions, digests, 32, OFF, tmp_path / "cache")
    np.testing.assert_array_equal(first.images, again.images)


def test_other_settings_or_contents_are_other_entries(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"

    def entries() -> int:
        return len([f for f in (cache / "prepared").iterdir() if not f.name.startswith(".")])

    ready(lesions, cache)
    ready(lesions, cache)
    assert entries() == 1
    ready(lesions, cache, size=16)
    ready(lesions, cache, ClaheConfig())
    assert entries() == 3
    assert lesions[0].crop is not None
    cv2.imwrite(str(lesions[0].crop), np.zeros((20, 20), np.uint8))
    changed = ready(lesions, cache)
    assert entries() == 4
    assert changed.images[0].max() == 0


def test_an_unreadable_crop_is_left_out_and_said(lesions: list[Lesion], tmp_path: Path) -> None:
    broken = tmp_path / "crops" / "broken.png"
    broken.write_bytes(b"not a picture")
    several = [lesions[0], make_lesion(8, crop=broken), lesions[1], make_lesion(9)]
    prepared = ready(several, tmp_path / "cache")
    assert prepared.lesions == (lesions[0], lesions[1])
    assert len(prepared.images) == len(prepared.native_sizes) == 2
    (defect,) = prepared.defects
    assert defect.kind is DefectKind.CROP_UNREADABLE
    assert defect.lesion == several[1].id
    assert "broken.png" in defect.detail


def test_no_readable_crop_at_all_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"not one crop could be read.*broken\.png"):
        ready([make_lesion(1, crop=broken)], tmp_path / "cache")


def test_the_fingerprint_is_of_contents_not_places_or_order(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    digests = file_digests(lesions)
    first = fingerprint(lesions, digests)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "crops", moved)
    copies = [replace(entry, crop=moved / f"{i}.png") for i, entry in enumerate(lesions)]
    assert fingerprint(copies[::-1], file_digests(copies[::-1])) == first
    malignant = replace(lesions[0], pathology=Pathology.MALIGNANT)
    assert fingerprint([malignant, *lesions[1:]], digests) != first
    assert fingerprint(lesions, [digests[1], digests[0], digests[2]]) != first
    assert fingerprint(lesions[:2], digests[:2]) != first


def _prepare_in_process(
    lesions: list[Lesion], cache: Path, out: multiprocessing.SimpleQueue[npt.NDArray[np.uint8]]
) -> None:
    out.put(np.array(ready(lesions, cache).images))


def test_two_processes_may_prepare_at_once(lesions: list[Lesion], tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.SimpleQueue[npt.NDArray[np.uint8]] = context.SimpleQueue()
    processes = [
        context.Process(target=_prepare_in_process, args=(lesions, tmp_path / "cache", out))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    results = [out.get() for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    np.testing.assert_array_equal(results[0], results[1])
    left = [file.name for file in (tmp_path / "cache" / "prepared").iterdir()]
    assert len(left) == 1, left
