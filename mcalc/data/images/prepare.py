"""Decode, cut, equalise and fit every picture once, into a cache keyed by content.

The cache holds one folder a data set, region and network size: `images.npy`, uint8 of shape
(n, size, size), mapped and not loaded, and `about.json`. A folder is written beside its place and
renamed into it, under a lock: of several processes that want it one works and the others wait, and
a killed one leaves nothing half done.

Pictures are made in threads; how many at once depends on their size (`PIXELS_AT_ONCE`), so that
memory stays flat however many and however large they are. OpenCV and Pillow work on all cores so;
the decoders of compressed DICOM hold Python's lock, and decode one file at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from filelock import FileLock

from mcalc.allocator import trim_freed_memory
from mcalc.config.identity import hashed_settings
from mcalc.config.schema import DataConfig, Fit, Region, ScaleUnit
from mcalc.data.images.clahe import enhance_region
from mcalc.data.images.dicom import UnreadableImage, image_size
from mcalc.data.images.file_hashes import LesionDigests
from mcalc.data.images.memory_budget import MemoryBudget
from mcalc.data.images.npy_writer import ImageWriter
from mcalc.data.images.regions import Cut, Unusable, cut, decoded_pixels, network_scale, read_source
from mcalc.data.images.resize import Grey8, fit
from mcalc.data.records import Defect, DefectKind, Lesion, Progress, Side, has_needed_files
from mcalc.errors import UserError

FORMAT = 2
"""Raised when prepared pixels change for the same file and settings."""

PIXELS_AT_ONCE = 50_000_000
"""Decoded at one time over all threads: three full mammograms, or hundreds of crops. A larger image
is worked on alone. Measured with 3000 x 5000 pixels of 16 bits and 16 threads to spare: 370 MB for
the whole process, 780 MB with JPEG 2000, whose decoder takes most of it."""

LARGE = 4_000_000
"""Pixels of an image after which freed memory is given back at once."""

_SAMPLED = 16
"""Pictures whose size decides on the number of threads."""

UNKNOWN_SIZE = (-1, -1)


@dataclass(frozen=True)
class Prepared:
    """Pictures as a network takes them, but for normalisation."""

    lesions: tuple[Lesion, ...]
    """Those whose picture could be made, in the index's order."""
    images: Grey8
    """(m, size, size), grey 0..255, memory-mapped read-only. m = n but for region=full, where
    lesions of one mammogram share its picture."""
    native_sizes: npt.NDArray[np.int64]
    """(n, 2): width and height of each lesion's crop file, pixels; where there is none the mask's
    bounding box (region=patch), else -1."""
    defects: tuple[Defect, ...]
    """What could not be made into a picture, and what must be known of those that could."""
    positions: tuple[int, ...]
    """(n,): which of `images` shows each lesion."""


@dataclass(frozen=True)
class _Picture:
    """One entry of `images` to be."""

    lesion: Lesion
    """Whose files are read."""
    shows: tuple[int, ...]
    """Positions among the lesions given."""


@dataclass
class _Outcome:
    """What became of one picture."""

    native_sizes: list[tuple[int, int]] = field(default_factory=list)
    """One a lesion shown; none where the picture is lost."""
    wall: Side | None = None
    defects: list[Defect] = field(default_factory=list)


def prepare(
    lesions: Sequence[Lesion],
    digests: Sequence[LesionDigests],
    size: int,
    settings: DataConfig,
    cache: Path,
    progress: Progress | None = None,
) -> Prepared:
    """Read the prepared pictures from the cache, making them first where they are not there.

    Lesions that lack a file of `settings.region` are left out without a word: the index's ledger
    has one. `digests` as `file_hashes.file_digests` gives them for that region; `size`:
    pixels a side.

    Raises UserError when not one picture can be made, when sizes in mm are asked for and unknown,
    or the cache cannot be written.
    """
    present = [i for i, lesion in enumerate(lesions) if has_needed_files(lesion, settings.region)]
    chosen = [lesions[i] for i in present]
    contents = [digests[i] for i in present]
    key = _key(chosen, contents, size, settings)
    place = cache / "prepared" / key
    if not (place / "about.json").is_file():
        try:
            with _alone(place):
                # another process may have been at work while this one waited
                if not (place / "about.json").is_file():
                    _write(place, chosen, size, settings, progress)
        except OSError as error:
            raise UserError(
                f"the cache {place.parent} cannot be written ({error.strerror}): name a writable "
                "folder with room on its disk with data.cache=PATH"
            ) from error
    return _load(place, chosen)


def prepare_picture(lesion: Lesion, size: int, settings: DataConfig) -> tuple[Grey8, Cut]:
    """One lesion's picture (size, size), uint8, and the region that it was made of.

    Raises Unusable and UserError as `mcalc.data.images.regions.read_source` and `cut`.
    """
    source = read_source(lesion, settings)
    scale = network_scale(settings, source.mm_per_pixel)
    region = cut(source, lesion, settings)
    # the full image is let go before CLAHE makes room for another
    del source
    return fit(enhance_region(region, settings.clahe), size, settings.fit, scale), region


def _key(
    lesions: Sequence[Lesion], digests: Sequence[LesionDigests], size: int, settings: DataConfig
) -> str:
    """What the pixels depend on; a setting that the region or the fit has no use for is no part."""
    relevant: dict[str, Any] = {
        "format": FORMAT,
        "cv2": cv2.__version__,
        "size": size,
        "clahe": hashed_settings(settings.clahe),
        "region": settings.region,
        "fit": settings.fit,
    }
    if settings.region is Region.patch:
        relevant |= {"patch": [settings.patch_size, settings.patch_margin]}
    if settings.fit is Fit.native:
        relevant |= {"native": settings.native_scale}
    if settings.region is Region.patch or settings.fit is Fit.native:
        relevant |= {"unit": settings.scale_unit}
        if settings.scale_unit is ScaleUnit.mm:
            relevant |= {"pixel_size": settings.pixel_size}
    rows = [
        [lesion.id, lesion.image, lesion.side, *astuple(content)]
        for lesion, content in zip(lesions, digests, strict=True)
    ]
    return hashlib.sha256(json.dumps([relevant, rows]).encode()).hexdigest()[:20]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the place's lock, which a process that is killed gives back."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.parent / f".lock-{place.name}"):
        yield


def _load(place: Path, lesions: Sequence[Lesion]) -> Prepared:
    about = json.loads((place / "about.json").read_text(encoding="utf-8"))
    return Prepared(
        lesions=tuple(lesions[i] for i in about["kept"]),
        images=np.load(place / "images.npy", mmap_mode="r"),
        native_sizes=np.array(about["native_sizes"], dtype=np.int64).reshape(-1, 2),
        defects=tuple(
            Defect(lesion, DefectKind(kind), detail, action)
            for lesion, kind, detail, action in about["defects"]
        ),
        positions=tuple(about["positions"]),
    )


def _write(
    place: Path,
    lesions: Sequence[Lesion],
    size: int,
    settings: DataConfig,
    progress: Progress | None,
) -> None:
    """Only under the place's lock."""
    prefix = f".draft-{place.name}-"
    for left in place.parent.glob(f"{prefix}*"):
        # by a process that was killed: a living one would hold the lock
        shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
    try:
        pictures = _pictures(lesions, settings.region)
        outcomes = _make(pictures, lesions, size, settings, draft / "images.npy", progress)
        about = _about(pictures, outcomes, lesions)
        if not about["kept"]:
            first = about["defects"][0][2] if about["defects"] else "none is on disk"
            raise UserError(f"not one {settings.region} could be read; the first: {first}")
        (draft / "about.json").write_text(json.dumps(about), encoding="utf-8")
        _settle(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _pictures(lesions: Sequence[Lesion], region: Region) -> list[_Picture]:
    """One a lesion; of whole mammograms one an image, in the order of first mention."""
    if region is not Region.full:
        return [_Picture(lesion, (position,)) for position, lesion in enumerate(lesions)]
    shown: dict[str, list[int]] = defaultdict(list)
    for position, lesion in enumerate(lesions):
        shown[lesion.image].append(position)
    return [_Picture(lesions[members[0]], tuple(members)) for members in shown.values()]


def _make(
    pictures: Sequence[_Picture],
    lesions: Sequence[Lesion],
    size: int,
    settings: DataConfig,
    file: Path,
    progress: Progress | None,
) -> list[_Outcome]:
    """Write every picture that can be made to `file`; what became of each, in order."""
    budget = MemoryBudget(PIXELS_AT_ONCE)
    images = ImageWriter(file, len(pictures), size)

    def make(row: int) -> _Outcome:
        picture = pictures[row]
        members = [lesions[i] for i in picture.shows]
        try:
            pixels = decoded_pixels(picture.lesion, settings.region)
            with budget.reserve(pixels):
                image, region = prepare_picture(picture.lesion, size, settings)
                if pixels > LARGE:
                    trim_freed_memory()
        except Unusable as error:
            return _Outcome(defects=[error.defect(member.id) for member in members])
        images.write(row, image)
        return _Outcome(
            native_sizes=[_native_size(member, region, settings) for member in members],
            wall=region.wall,
            defects=list(region.defects),
        )

    outcomes = [_Outcome()] * len(pictures)
    pool = ThreadPoolExecutor(_threads(pictures, settings.region))
    try:
        rows = {pool.submit(make, row): row for row in range(len(pictures))}
        for done, future in enumerate(as_completed(rows), start=1):
            outcomes[rows[future]] = future.result()
            if progress:
                progress(done, len(pictures))
    finally:
        # after an error or Ctrl-C what has not begun is dropped
        pool.shutdown(cancel_futures=True)
        images.close([row for row, outcome in enumerate(outcomes) if outcome.native_sizes])
    return outcomes


def _threads(pictures: Sequence[_Picture], region: Region) -> int:
    """One a core, but no more than will find room: each keeps some of what it has freed."""
    largest = 1
    for picture in pictures[:: max(1, len(pictures) // _SAMPLED)]:
        with suppress(Unusable):
            largest = max(largest, decoded_pixels(picture.lesion, region))
    return max(1, min(os.cpu_count() or 1, PIXELS_AT_ONCE // largest))


def _native_size(lesion: Lesion, region: Cut, settings: DataConfig) -> tuple[int, int]:
    if settings.region is Region.crop:
        height, width = region.pixels.shape
        return width, height
    if lesion.crop is not None:
        try:
            return image_size(lesion.crop)
        except UnreadableImage:
            # the crop is no part of this region: its size is then as unknown as without it
            pass
    return region.lesion_size or UNKNOWN_SIZE


def _about(
    pictures: Sequence[_Picture], outcomes: Sequence[_Outcome], lesions: Sequence[Lesion]
) -> dict[str, Any]:
    """The content of `about.json`."""
    entries: list[tuple[int, int, tuple[int, int]]] = []
    position = 0
    for picture, outcome in zip(pictures, outcomes, strict=True):
        if outcome.native_sizes:
            sizes = zip(picture.shows, outcome.native_sizes, strict=True)
            entries.extend((lesion, position, native) for lesion, native in sizes)
            position += 1
    entries.sort()
    defects = [defect for outcome in outcomes for defect in outcome.defects]
    walls = {
        picture.lesion: outcome.wall for picture, outcome in zip(pictures, outcomes, strict=True)
    }
    return {
        "kept": [lesion for lesion, _, _ in entries],
        "positions": [image for _, image, _ in entries],
        "native_sizes": [native for _, _, native in entries],
        "defects": [astuple(defect) for defect in [*defects, *_hung_otherwise(walls)]],
    }


def _hung_otherwise(walls: dict[Lesion, Side | None]) -> list[Defect]:
    """Images whose chest wall is not where most of their side have it.

    Data sets differ in how they hang films, so the majority says which side of the image a left
    breast's chest wall belongs to. A side that is not known, on either account, says nothing.
    """
    known = {lesion: wall for lesion, wall in walls.items() if lesion.side and wall}
    own_side = [lesion.side is wall for lesion, wall in known.items()]
    usual = 2 * sum(own_side) > len(own_side)
    if 2 * sum(own_side) == len(own_side):
        return []
    return [
        Defect(
            lesion.image,
            DefectKind.LATERALITY,
            f"recorded as {lesion.side}, chest wall on the {wall.lower()} of the image, where most "
            "of this data set have it on the other side",
            "flipped by what the image shows",
        )
        for lesion, wall in known.items()
        if (lesion.side is wall) is not usual
    ]


def _settle(draft: Path, place: Path) -> None:
    """Move the finished draft into place."""
    for file in draft.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if place.exists():
        # without about.json: no entry of this program
        shutil.rmtree(place)
    draft.rename(place)
