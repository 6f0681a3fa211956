"""A synthetic CBIS-DDSM download: what `data=phantom` reads where no data set is named.

Folders, case CSVs and DICOM files have the shape of CBIS-DDSM in its legacy layout (`<case>/
<StudyUID>/<SeriesUID>/00000N.dcm`), quirks included, so that the ordinary reader indexes it. The
images are physics, not patients: see the modules `film` and `texture` (breast, film),
`calcifications` (shapes), `outline` (masks), `cases` (labels and `difficulty`), `grid` (resolution)
and `defects` (what can be wrong) beside this one. What may be concluded from phantoms is in
docs/phantoms.md.
"""

from __future__ import annotations

import json
import shutil
import uuid
from functools import partial
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.atomic_write import held_folder, sync
from mcalc.config import PhantomConfig
from mcalc.data.phantom.calcifications import calcification_density, expose
from mcalc.data.phantom.case_csv import (
    crop_path,
    csv_record,
    image_path,
    mask_path,
    write_case_csvs,
)
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.cases import generator, phantom_rows
from mcalc.data.phantom.defects import check_enough_lesions, plant_defects, write_expected
from mcalc.data.phantom.dicom import CROP, FULL, MASK, write_dicom
from mcalc.data.phantom.film import breast_film
from mcalc.data.phantom.grid import FilmGrid, film_grid
from mcalc.data.phantom.marker import MARKER, is_written, marker_content
from mcalc.data.phantom.outline import outline_mask
from mcalc.data.phantom.texture import FloatImage, add_film_noise, magnify
from mcalc.data.records import Split, View
from mcalc.errors import UserError
from mcalc.iteration import Progress, in_threads, usable_cores

_FOR_FILM, _FOR_LESION, _FOR_FILM_NOISE, _FOR_OUTLINE = 11, 12, 13, 14
_PIXELS_AT_ONCE = 64_000_000
"""Film pixels that are drawn at one time, by all threads: about 25 bytes of memory each."""


def write_phantom(root: Path, settings: PhantomConfig, progress: Progress | None = None) -> Path:
    """Write a phantom download to `root`, or keep the same one that is already there.

    The same settings give the same bytes in every file, however many cores draw them. Writing is
    atomic: other processes see no phantom or a whole one, and of two that write at once the first
    to finish wins.

    Args:
        root: the download's folder; it must not exist, be empty, or hold the same phantom.
        settings: number of lesions, seed, difficulty, size of full images, defects.
        progress: called with (lesions written, lesions in all) after each full image.

    Returns:
        `root`.

    Raises:
        UserError: `root` holds something else, or cannot be written, or defects are asked for and
            there are too few lesions to carry them.
    """
    # A link is followed, so that the folder it names is replaced and not the link.
    target = root.resolve()
    if is_written(root, settings):
        return root
    if settings.defects:
        check_enough_lesions(settings)
    draft = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
    try:
        with held_folder(draft):
            _write_download(draft, settings, progress)
            _move_into_place(draft, target, settings)
    except OSError as error:
        raise UserError(
            f"the phantom cannot be written to {root}: {_reason(error)}; free some "
            "space or name a folder that can be written with data.root=PATH or data.cache=PATH"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _reason(error: OSError) -> str:
    """What the system says. pydicom wraps its error, and puts a traceback into the text."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _move_into_place(draft: Path, target: Path, settings: PhantomConfig) -> None:
    try:
        draft.rename(target)
    except OSError:
        # Another process may have finished first; anything else in the way is an error.
        if not is_written(target, settings):
            raise


def _write_download(root: Path, settings: PhantomConfig, progress: Progress | None) -> None:
    rows = phantom_rows(settings)
    _write_films(root, rows, settings, progress)
    records = {row.lesion_case: csv_record(row, settings) for row in rows}
    tables = {
        split: [records[row.lesion_case] for row in rows if row.split is split] for split in Split
    }
    if settings.defects:
        write_expected(root, plant_defects(root, rows, records, tables, settings))
    write_case_csvs(root, tables)
    text = json.dumps(marker_content(settings), indent=2) + "\n"
    (root / MARKER).write_text(text, encoding="utf-8", newline="\n")
    sync(root / MARKER)


def _write_films(
    root: Path, rows: tuple[PhantomRow, ...], settings: PhantomConfig, progress: Progress | None
) -> None:
    """Every film with its crops and masks, one a thread: transforms and files need no GIL."""
    grid = film_grid(settings)
    films = [tuple(on_film) for _, on_film in groupby(rows, key=lambda row: row.image_case)]
    threads = min(usable_cores(), max(_PIXELS_AT_ONCE // (grid.rows * grid.columns), 1))
    written = 0
    write_film = partial(_write_film, root, settings, grid)
    for film, _ in in_threads(write_film, films, threads):
        written += len(film)
        if progress is not None:
            progress(written, len(rows))


# --- images -------------------------------------------------------------------------------------


def _write_film(
    root: Path, settings: PhantomConfig, grid: FilmGrid, rows: tuple[PhantomRow, ...]
) -> None:
    """The full image of these rows, and each row's crop and mask."""
    first = rows[0]
    film_rng = generator(settings.seed, _FOR_FILM, *first.place)
    film = breast_film(first.view is View.MLO, first.density, grid, film_rng)
    finer_crops = {}
    for row in rows:
        rng = generator(settings.seed, _FOR_LESION, *row.place, row.abnormality)
        shape, look = (row.height, row.width), row.finding
        density = calcification_density(shape, look.types, look.distribution, look.subtlety, rng)
        if grid.magnification > 1:
            background = magnify(film[row.box], grid, rng)
            finer_crops[row] = add_film_noise(expose(background, density), rng)
            density = _film_density(density, grid)
        film[row.box] = expose(film[row.box], density)
    noise_rng = generator(settings.seed, _FOR_FILM_NOISE, *first.place)
    film = add_film_noise(film, noise_rng, averaged_pixels=grid.magnification)
    pixels = _as_16_bit(film)
    del film
    write_dicom(root / image_path(first, settings), pixels, first, FULL, settings)
    for row in rows:
        crop = finer_crops[row] if grid.magnification > 1 else pixels[row.box].astype(np.float64)
        outline_rng = generator(settings.seed, _FOR_OUTLINE, *row.place, row.abnormality)
        mask = np.zeros(grid.shape, dtype=np.uint8)
        mask[row.box] = outline_mask(mask[row.box].shape, outline_rng)
        files = [root / crop_path(row, settings), root / mask_path(row, settings)]
        if row.swapped:
            files.reverse()
        write_dicom(files[0], _stretched(crop), row, CROP, settings)
        write_dicom(files[1], mask, row, MASK, settings)


def _film_density(density: FloatImage, grid: FilmGrid) -> FloatImage:
    """What the full image's coarser pixels see of a crop's calcium: the mean over each."""
    height, width = density.shape
    size = (width // grid.magnification, height // grid.magnification)
    return np.asarray(cv2.resize(density, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _as_16_bit(film: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """Brightness 0..1 as 0..65535."""
    return np.round(film * np.float32(65535)).astype(np.uint16)


def _stretched(crop: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """The crop over the full range of 16 bits, as CBIS-DDSM stores it."""
    lowest = crop.min()
    return _as_16_bit((crop - lowest) / (crop.max() - lowest))
