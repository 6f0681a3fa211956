"""Defects of which file is which: tags, series, layouts, and files that do not belong there."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
from PIL import Image

from mcalc.atomic_write import sync
from mcalc.data.phantom.defects.editing import editing, overwrite
from mcalc.data.phantom.defects.target import ExpectedDefect, Plant, Target
from mcalc.data.phantom.dicom import CROP, MASK, case_uid
from mcalc.data.records import DefectKind


def _descriptions_swapped(target: Target) -> list[ExpectedDefect]:
    for file, description in ((target.crop, MASK), (target.mask, CROP)):
        with editing(file) as data:
            data.SeriesDescription = description
    return target.owes(DefectKind.SWAPPED)


def _crop_in_its_own_series(target: Target) -> list[ExpectedDefect]:
    """As P_00474 LEFT MLO 1 of CBIS-DDSM."""
    series = case_uid(target.settings, target.id, "crop's own series")
    folder = target.crop.parent.parent / series
    folder.mkdir()
    with editing(target.crop) as data:
        data.SeriesInstanceUID = series
    moved = target.crop.rename(folder / "000000.dcm")
    target.record["cropped image file path"] = f"{moved.relative_to(target.root).as_posix()}\n"
    return []


def _jpeg_copies(target: Target) -> list[ExpectedDefect]:
    """This lesion as in the Kaggle layout: `jpeg/<SeriesUID>/`, 8 bits, no description."""
    folder = target.root / "jpeg" / target.crop.parent.name
    folder.mkdir(parents=True)
    for file, name in ((target.crop, "1-001.jpg"), (target.mask, "2-002.jpg")):
        pixels = pydicom.dcmread(file).pixel_array
        if pixels.dtype == np.uint16:
            pixels = np.round(pixels / 257)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name, quality=95)
        sync(folder / name)
    shutil.rmtree(target.root / target.id)
    return []


def _been_on_windows(target: Target) -> list[ExpectedDefect]:
    """Extensions in capitals, and backslashes between the parts of paths."""
    for file in (target.crop, target.mask):
        file.rename(file.with_suffix(".DCM"))
    for column in ("image file path", "cropped image file path", "ROI mask file path"):
        target.record[column] = target.record[column].replace("/", "\\")
    return []


def _hidden_files(target: Target) -> list[ExpectedDefect]:
    """What macOS leaves on foreign disks."""
    for file in (target.crop, target.mask, target.full):
        overwrite(file.with_name(f"._{file.name}"), b"\x00\x05\x16\x07" + bytes(60))
    overwrite(target.crop.with_name(".DS_Store"), bytes(32))
    return []


ROLE_PLANTS: tuple[Plant, ...] = (
    _descriptions_swapped,
    _crop_in_its_own_series,
    _jpeg_copies,
    _been_on_windows,
    _hidden_files,
)
"""In this order."""
