"""A lesion's outline lies on its network image where the lesion does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from builders import make_lesion

from mcalc.config import ClaheConfig, DataConfig, Fit, Region, Unit
from mcalc.data.images import prepared_outline
from mcalc.data.images.prepare import prepare_image
from mcalc.data.records import Lesion

PLAIN = replace(DataConfig(), clahe=ClaheConfig(enabled=False))
WHOLE = replace(PLAIN, region=Region.full, unit=Unit.image)
MAGNIFIED = 3
"""Crop pixels along one of the mammogram."""


@pytest.fixture
def lesion(tmp_path: Path) -> Lesion:
    """A mammogram that is bright on the lesion alone, and its crop at a higher resolution."""
    mask = np.zeros((300, 200), dtype=np.uint8)
    cv2.ellipse(mask, (60, 140), (30, 18), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, (50, 120), (10, 30), 30, 0, 360, 255, -1)
    left, top, width, height = cv2.boundingRect(mask)
    full = np.where(mask > 0, 200, 40).astype(np.uint8)
    crop = full[top : top + height, left : left + width]
    size = (width * MAGNIFIED, height * MAGNIFIED)
    files = {
        "mask": mask,
        "full": full,
        "crop": cv2.resize(crop, size, interpolation=cv2.INTER_NEAREST),
    }
    for name, image in files.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    return replace(make_lesion(1), **{name: tmp_path / f"{name}.png" for name in files})


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        replace(PLAIN, fit=Fit.letterbox),
        replace(PLAIN, fit=Fit.native, native_scale=0.4),
        replace(PLAIN, region=Region.patch, patch_size=120, patch_margin=8),
        # the window reaches beyond the film
        replace(PLAIN, region=Region.patch, patch_size=260, patch_margin=8),
    ],
)
def test_the_outline_is_where_the_prepared_image_shows_the_lesion(
    lesion: Lesion, settings: DataConfig
) -> None:
    image, _ = prepare_image(lesion, 64, settings)
    outline = prepared_outline(lesion, 64, settings)
    assert outline is not None
    assert outline.shape == image.shape
    assert overlap(outline > 127, image > 120) > 0.9


def test_a_crop_with_a_margin_has_no_known_outline(lesion: Lesion, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((150, 400), np.uint8))
    assert prepared_outline(replace(lesion, crop=tmp_path / "wide.png"), 64, PLAIN) is None


def test_without_a_readable_mask_there_is_none_and_nothing_fails(
    lesion: Lesion, tmp_path: Path
) -> None:
    assert prepared_outline(replace(lesion, mask=None), 64, PLAIN) is None
    assert prepared_outline(replace(lesion, mask=tmp_path / "gone.png"), 64, PLAIN) is None
    (tmp_path / "damaged.png").write_bytes(b"no image")
    assert prepared_outline(replace(lesion, mask=tmp_path / "damaged.png"), 64, PLAIN) is None
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((300, 200), np.uint8))
    assert prepared_outline(replace(lesion, mask=tmp_path / "empty.png"), 64, PLAIN) is None
    assert prepared_outline(lesion, 64, WHOLE) is None
