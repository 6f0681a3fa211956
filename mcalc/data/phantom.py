"""A synthetic CBIS-DDSM download: what `data=phantom` reads where no data set is named.

Folders, case CSVs and DICOM files have the shape of CBIS-DDSM in its legacy layout (`<case>/
<StudyUID>/<SeriesUID>/00000N.dcm`), quirks included, so that the ordinary reader indexes it. The
pictures are physics, not patients: see `phantom_texture` (breast, film), `phantom_calcifications`
(shapes) and `phantom_cases` (labels and `difficulty`).

A full image is 512 x 384; crops are the same film digitised `MAGNIFICATION` times finer, so a crop
of 160 x 120 shows 40 x 30 pixels of its full image. Its mask is an ellipse that touches the sides
of that place.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import PhantomConfig
from mcalc.data.phantom_calcifications import calcification_density, expose
from mcalc.data.phantom_cases import PhantomRow, generator, phantom_rows
from mcalc.data.phantom_csv import crop_path, image_path, mask_path, write_case_csvs
from mcalc.data.phantom_dicom import Pixels, write_dicom
from mcalc.data.phantom_texture import (
    FILM_SHAPE,
    MAGNIFICATION,
    FloatImage,
    add_film_noise,
    breast_film,
    magnify,
)
from mcalc.data.records import Side, View
from mcalc.errors import UserError

MARKER = "phantom.json"
FORMAT_VERSION = 1
"""Raised whenever the same settings would give other bytes."""

_FOR_FILM, _FOR_LESION, _FOR_FILM_NOISE = 11, 12, 13
_MASK_ON = 255


def write_phantom(
    root: Path,
    settings: PhantomConfig,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a phantom download to `root`, or keep the same one that is already there.

    The same settings give the same bytes in every file. Writing is atomic: other processes see
    no phantom or a whole one, and of two that write at once the first to finish wins.

    Args:
        root: the download's folder; it must not exist, be empty, or hold the same phantom.
        settings: number of lesions, seed and difficulty.
        progress: called with (lesions written, lesions in all) after each full image.

    Returns:
        `root`.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    if _is_there_already(root, settings):
        return root
    # A link is followed, so that the folder it names is replaced and not the link.
    target = root.resolve()
    draft = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
    try:
        draft.mkdir(parents=True)
        _write_download(draft, settings, progress)
        _move_into_place(draft, target, settings)
    except OSError as error:
        raise UserError(
            f"the phantom cannot be written to {root}: {error.strerror or error}; make room or "
            "name a folder that can be written with data.root=PATH or data.cache=PATH"
        ) from error
    finally:
        if draft.exists():
            shutil.rmtree(draft)
    return root


def _move_into_place(draft: Path, target: Path, settings: PhantomConfig) -> None:
    try:
        draft.rename(target)
    except OSError:
        # Another process may have finished first; anything else in the way is an error.
        if not _is_there_already(target, settings):
            raise


def _marker_content(settings: PhantomConfig) -> dict[str, object]:
    return {
        "format_version": FORMAT_VERSION,
        "lesions": settings.lesions,
        "seed": settings.seed,
        # 1 and 1.0 are one difficulty, and must be one text.
        "difficulty": float(settings.difficulty),
    }


def _is_there_already(root: Path, settings: PhantomConfig) -> bool:
    """Whether `root` holds this phantom; UserError where it holds anything else."""
    if not root.exists():
        return False
    remedy = "delete that folder or name another one with data.root=PATH"
    if not root.is_dir():
        raise UserError(
            f"{root} is a file where the phantom's folder is expected: name another folder with "
            "data.root=PATH"
        )
    if not any(root.iterdir()):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise UserError(
            f"{root} holds files that are no phantom (it has no {MARKER}), and they are not "
            "overwritten: name another folder with data.root=PATH"
        )
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{marker} is not valid JSON ({error}): {remedy}") from error
    wanted = _marker_content(settings)
    if found != wanted:
        raise UserError(
            f"{root} holds a phantom made with other settings ({json.dumps(found)}) than the "
            f"ones asked for ({json.dumps(wanted)}): {remedy}"
        )
    return True


def _write_download(
    root: Path, settings: PhantomConfig, progress: Callable[[int, int], None] | None
) -> None:
    rows = phantom_rows(settings)
    written = 0
    for _, film_rows in groupby(rows, key=lambda row: row.image_case):
        on_film = tuple(film_rows)
        _write_film(root, on_film, settings)
        written += len(on_film)
        if progress is not None:
            progress(written, len(rows))
    write_case_csvs(root, rows, settings)
    with (root / MARKER).open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(_marker_content(settings), indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


# --- pictures -----------------------------------------------------------------------------------


def _write_film(root: Path, rows: tuple[PhantomRow, ...], settings: PhantomConfig) -> None:
    """The full image of these rows, and each row's crop and mask."""
    first = rows[0]
    place = (first.patient, list(View).index(first.view))
    rng = generator(settings.seed, _FOR_FILM, *place)
    film = breast_film(first.view is View.MLO, first.density, rng)
    for row in rows:
        lesion_rng = generator(settings.seed, _FOR_LESION, *place, row.abnormality)
        top, left = _lesion_corner(row, lesion_rng)
        here = np.s_[
            top : top + row.height // MAGNIFICATION, left : left + row.width // MAGNIFICATION
        ]
        crop, density = _lesion_pictures(film[here], row, lesion_rng)
        film[here] = expose(film[here], _film_density(density))
        mask = np.zeros(FILM_SHAPE, dtype=np.uint8)
        mask[here] = _ellipse(mask[here].shape)
        _write_crop_and_mask(root, row, settings, crop, mask)
    noisy = add_film_noise(
        film, generator(settings.seed, _FOR_FILM_NOISE, *place), averaged_pixels=MAGNIFICATION
    )
    pixels = np.round(noisy * 65535).astype(np.uint16)
    write_dicom(
        root / image_path(first, settings),
        _hang(pixels, first.side),
        first,
        first.image_case,
        "full mammogram images",
        settings,
    )


def _lesion_corner(row: PhantomRow, rng: np.random.Generator) -> tuple[int, int]:
    """Where the lesion's upper left corner lies on the film: (row, column), within the breast."""
    rows, columns = FILM_SHAPE
    height, width = row.height // MAGNIFICATION, row.width // MAGNIFICATION
    # Clear of the film's edge, where the breast ends, and of the half of another lesion.
    top = round(rng.uniform(0.10 * rows, rows / 2 - height))
    if not row.in_upper_half:
        top = rows - top - height
    # The breast is narrower towards its upper and lower end.
    from_middle = (top + height / 2 - rows / 2) / (0.45 * rows)
    reach = 0.75 * columns * np.sqrt(max(1 - from_middle**2, 0.0))
    left = round(rng.uniform(4, max(reach - width, 8)))
    return top, left


def _lesion_pictures(
    background: FloatImage, row: PhantomRow, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint16], FloatImage]:
    """The crop as stored (16 bit, stretched to 0..65535), and its calcium's optical thickness."""
    density = calcification_density(
        (row.height, row.width),
        row.finding.types,
        row.finding.distribution,
        row.finding.subtlety,
        rng,
    )
    crop = add_film_noise(expose(magnify(background, rng), density), rng)
    stretched = (crop - crop.min()) / (crop.max() - crop.min())
    return np.round(stretched * 65535).astype(np.uint16), density


def _film_density(density: FloatImage) -> FloatImage:
    """What the full image's coarser pixels see of a crop's calcium: the mean over each."""
    height, width = density.shape
    size = (width // MAGNIFICATION, height // MAGNIFICATION)
    return np.asarray(cv2.resize(density, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _ellipse(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An ellipse that touches all sides of its box: `_MASK_ON` inside, 0 outside."""
    height, width = shape
    y, x = np.ogrid[0:height, 0:width]
    radius_squared = ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2
    return np.where(radius_squared <= 1, _MASK_ON, 0).astype(np.uint8)


def _hang(pixels: Pixels, side: Side) -> Pixels:
    """Left breasts hang with the chest wall on the left, right breasts mirrored."""
    return pixels if side is Side.LEFT else pixels[:, ::-1]


# --- files --------------------------------------------------------------------------------------


def _write_crop_and_mask(
    root: Path,
    row: PhantomRow,
    settings: PhantomConfig,
    crop: npt.NDArray[np.uint16],
    mask: npt.NDArray[np.uint8],
) -> None:
    crop_file, mask_file = crop_path(row, settings), mask_path(row, settings)
    if row.swapped:
        crop_file, mask_file = mask_file, crop_file
    for file, pixels, description in (
        (crop_file, crop, "cropped images"),
        (mask_file, mask, "ROI mask images"),
    ):
        write_dicom(
            root / file, _hang(pixels, row.side), row, row.lesion_case, description, settings
        )
