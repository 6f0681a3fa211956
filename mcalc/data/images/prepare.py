"""Decode, cut, equalise and fit every image once, into a cache keyed by content.

The cache has one folder for each data set, region and network size. In it are `images.npy`, uint8
of shape (n, size, size), which is memory-mapped and not loaded, and `about.json`. A folder is
written beside its place and renamed into it, under a lock. So of several processes that need it one
works and the others wait, and a killed one leaves nothing half done. A seal of its key and both
files' checksums is compared whenever it is used: what was damaged or moved is prepared anew.

Images are prepared in threads. How many at once depends on their size (`PIXELS_AT_ONCE`), so that
memory stays flat however many and however large they are. OpenCV, Pillow and the decoders of
compressed DICOM all release Python's lock, so that the threads work on all cores.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from filelock import FileLock

from mcalc.allocator import trim_freed_memory
from mcalc.atomic_write import sync
from mcalc.config import DataConfig, Fit, Region, ScaleUnit, hashed_settings
from mcalc.data.images.clahe import enhance_region
from mcalc.data.images.file_hashes import LesionDigests
from mcalc.data.images.image_file import image_size
from mcalc.data.images.memory_budget import MemoryBudget
from mcalc.data.images.npy_writer import ImageWriter
from mcalc.data.images.regions import Cut, Unusable, cut, decoded_pixels, read_source
from mcalc.data.images.resize import Grey8, fit
from mcalc.data.images.sealed_folder import is_sealed, seal
from mcalc.data.images.unreadable import UnreadableImage
from mcalc.data.records import Defect, DefectKind, Lesion, Side, has_needed_files
from mcalc.errors import UserError
from mcalc.iteration import Progress, grouped, in_threads, with_progress

FORMAT = 5
"""Raised when prepared pixels change for the same file and settings, or an entry's files do."""

_FILES = _IMAGES, _ABOUT = "images.npy", "about.json"
"""Of an entry, beside its seal."""
_log = logging.getLogger(__name__)

PIXELS_AT_ONCE = 50_000_000
"""Decoded at one time over all threads: three full mammograms, or hundreds of crops. A larger image
is worked on alone. Measured with 3000 x 5000 pixels of 16 bits and 16 threads to spare: 390 MB for
the whole process, 600 MB with JPEG 2000, whose decoder takes most of it."""

LARGE = 4_000_000
"""Pixels of an image after which freed memory is given back at once."""

_SAMPLED = 16
"""Images whose size decides on the number of threads."""

DARK_SET = 2
"""Highest bits that all images of a set leave unused where it counts as nearly black."""
DARK_IMAGE = 4
"""Highest bits that one image leaves unused where it counts so: all it holds is below 1/16."""

UNKNOWN_SIZE = (-1, -1)
"""In `Prepared.native_sizes`, where neither crop nor mask says how large a lesion is."""


@dataclass(frozen=True)
class Prepared:
    """Images as a network takes them, but for normalisation."""

    lesions: tuple[Lesion, ...]
    """The n lesions whose image could be prepared, in the index's order."""
    images: Grey8
    """(m, size, size), grey 0..255, memory-mapped read-only. m = n but for region=full, where
    lesions of one mammogram share an image."""
    native_sizes: npt.NDArray[np.int64]
    """(n, 2): width and height of each lesion's crop file, pixels; where there is none the mask's
    bounding box (region=patch), else -1."""
    defects: tuple[Defect, ...]
    """Why images could not be prepared, and what must be known of those that could."""
    positions: tuple[int, ...]
    """(n,): which of `images` shows each lesion."""
    bits: tuple[tuple[int, int], ...] = ()
    """(m, 2): bits of a value of the file that each image was cut from, 8 or 16, and how many of
    the highest no value uses; empty where the cache was written before they were kept."""


_Shown = Sequence[Lesion]
"""The lesions that one image shows; the first one's files are read."""


@dataclass
class _Outcome:
    """What became of one image."""

    native_sizes: list[tuple[int, int]] = field(default_factory=list)
    """One for each lesion shown; none where the image could not be prepared."""
    wall: Side | None = None
    unused_bits: int = 0
    """As `Cut.unused_bits`."""
    depth: int = 0
    """Bits of a value of the image as it was read, 8 or 16; 0 where it could not be prepared."""
    defects: list[Defect] = field(default_factory=list)


def prepare_images(
    lesions: Sequence[Lesion],
    digests: Sequence[LesionDigests],
    size: int,
    settings: DataConfig,
    cache: Path,
    progress: Progress | None = None,
) -> Prepared:
    """Read the prepared images from the cache, preparing them first where they are not there.

    Lesions that lack a file of `settings.region` are excluded; the index's ledger has a row for
    them already.

    Args:
        lesions: of the index.
        digests: of each lesion, as `file_hashes.file_digests` gives them for the region.
        size: width and height of the network's input, pixels.
        settings: `region`, `fit`, `clahe` and the scale are looked at.
        cache: `data.cache`.
        progress: called with (images done, images in all).

    Raises UserError when no image at all can be prepared, when sizes in mm are asked for and
    unknown, or the cache cannot be written.
    """
    pairs = list(zip(lesions, digests, strict=True))
    present = [pair for pair in pairs if has_needed_files(pair[0], settings.region)]
    chosen = [lesion for lesion, _ in present]
    place = cache / "prepared" / _key(present, size, settings)
    about = _read(place)
    if about is None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # the system releases the lock when a process is killed
            with FileLock(place.parent / f".lock-{place.name}"):
                # another process may have been at work while this one waited
                about = _read(place)
                if about is None:
                    if place.exists():
                        _log.warning(
                            f"  warning: the prepared images in {place} are damaged, and are "
                            "prepared anew"
                        )
                    about = _write(place, chosen, size, settings, progress)
        except OSError as error:
            raise UserError(
                f"the cache {place.parent} cannot be written ({error.strerror}): name a writable "
                "folder on a disk with free space with data.cache=PATH"
            ) from error
    return _load(place, about, chosen)


def prepare_image(lesion: Lesion, size: int, settings: DataConfig) -> tuple[Grey8, Cut]:
    """One lesion's image (size, size), uint8, and the region that it was made of.

    Raises Unusable and UserError as `mcalc.data.images.regions.read_source` and `cut`.
    """
    source = read_source(lesion, settings)
    # fit=native: network pixels for each pixel of the image
    scale = settings.native_scale * (source.mm_per_pixel or 1.0)
    region = cut(source, lesion, settings)
    # frees the full image before CLAHE needs memory for another
    del source
    return fit(enhance_region(region, settings.clahe), size, settings.fit, scale), region


def _key(lesions: Iterable[tuple[Lesion, LesionDigests]], size: int, settings: DataConfig) -> str:
    """Hash of what the pixels depend on, without settings that region or fit does not use."""
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
    if settings.bits_stored is not None:
        relevant |= {"bits": settings.bits_stored}
    if settings.fit is Fit.native:
        relevant |= {"native": settings.native_scale}
    if settings.region is Region.patch or settings.fit is Fit.native:
        relevant |= {"unit": settings.scale_unit}
        if settings.scale_unit is ScaleUnit.mm:
            relevant |= {"pixel_size": settings.pixel_size}
    rows = [[each.id, each.image, each.side, *astuple(content)] for each, content in lesions]
    return hashlib.sha256(json.dumps([relevant, rows]).encode()).hexdigest()[:20]


def _read(place: Path) -> dict[str, Any] | None:
    """The content of an entry's `about.json`; None where there is no entry, or a damaged one."""
    if not is_sealed(place, place.name, _FILES):
        return None
    about: dict[str, Any] = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
    return about


def _load(place: Path, about: Mapping[str, Any], lesions: Sequence[Lesion]) -> Prepared:
    return Prepared(
        lesions=tuple(lesions[i] for i in about["kept"]),
        images=np.load(place / _IMAGES, mmap_mode="r"),
        native_sizes=np.array(about["native_sizes"], dtype=np.int64).reshape(-1, 2),
        defects=tuple(
            Defect(name, DefectKind(kind), *texts) for name, kind, *texts in about["defects"]
        ),
        positions=tuple(about["positions"]),
        bits=tuple((depth, unused) for depth, unused in about.get("bits", ())),
    )


def _write(
    place: Path,
    lesions: Sequence[Lesion],
    size: int,
    settings: DataConfig,
    progress: Progress | None,
) -> dict[str, Any]:
    """Write the place's folder, and give the content of its `about.json`.

    The caller holds its lock.
    """
    prefix = f".draft-{place.name}-"
    for left in place.parent.glob(f"{prefix}*"):
        # of a process that was killed: a living one would hold the lock
        shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
    try:
        entries = list(grouped(lesions, lambda lesion: lesion.shown_on(settings.region)).values())
        images = ImageWriter(draft / _IMAGES, len(entries), size)
        outcomes = _make(entries, images, settings, progress)
        about = _about(entries, outcomes, lesions)
        if not about["kept"]:
            first = about["defects"][0][2] if about["defects"] else "none is on disk"
            raise UserError(f"not one {settings.region} could be read; the first: {first}")
        (draft / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        seal(draft, place.name, _FILES)
        for file in draft.iterdir():
            sync(file)
        if place.exists():
            shutil.rmtree(place)  # damaged, or no entry of this program
        draft.rename(place)
        return about
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make(
    entries: Sequence[_Shown], images: ImageWriter, settings: DataConfig, progress: Progress | None
) -> list[_Outcome]:
    """Write every image that can be prepared to `images`; return what became of each, in order."""
    budget = MemoryBudget(PIXELS_AT_ONCE)

    def make(row: int) -> _Outcome:
        members = entries[row]
        try:
            pixels = decoded_pixels(members[0], settings.region)
            with budget.reserve(pixels):
                image, region = prepare_image(members[0], images.width, settings)
                if pixels > LARGE:
                    trim_freed_memory()
        except Unusable as error:
            return _Outcome(defects=[error.defect(member.id) for member in members])
        images.write(row, image)
        native_sizes = [_native_size(member, region, settings) for member in members]
        return _Outcome(
            native_sizes,
            region.wall,
            region.unused_bits,
            8 * region.pixels.itemsize,
            list(region.defects),
        )

    outcomes = [_Outcome()] * len(entries)
    rows, threads = range(len(entries)), _threads(entries, settings.region)
    try:
        # closed before the file is: after Ctrl-C no thread may write to it any more
        with closing(in_threads(make, rows, threads)) as made:
            for row, outcome in with_progress(made, len(rows), progress):
                outcomes[row] = outcome
    finally:
        images.close([row for row, outcome in enumerate(outcomes) if outcome.native_sizes])
    return outcomes


def _threads(entries: Sequence[_Shown], region: Region) -> int:
    """One for each core, but few enough for their memory: each keeps some of what it has freed."""
    largest = 1
    for members in entries[:: max(1, len(entries) // _SAMPLED)]:
        with suppress(Unusable):
            largest = max(largest, decoded_pixels(members[0], region))
    return max(1, min(os.cpu_count() or 1, PIXELS_AT_ONCE // largest))


def _native_size(lesion: Lesion, region: Cut, settings: DataConfig) -> tuple[int, int]:
    if settings.region is Region.crop:
        height, width = region.pixels.shape
        return width, height
    if lesion.crop is not None:
        # the region does not need the crop: unreadable, its size is as unknown as without it
        with suppress(UnreadableImage):
            return image_size(lesion.crop)
    return region.lesion_size or UNKNOWN_SIZE


def _about(
    entries: Sequence[_Shown], outcomes: Sequence[_Outcome], lesions: Sequence[Lesion]
) -> dict[str, Any]:
    """The content of `about.json`."""
    place = {lesion.id: position for position, lesion in enumerate(lesions)}
    made = [pair for pair in zip(entries, outcomes, strict=True) if pair[1].native_sizes]
    kept = sorted(
        (place[lesion.id], position, native)
        for position, (members, outcome) in enumerate(made)
        for lesion, native in zip(members, outcome.native_sizes, strict=True)
    )
    defects = [defect for outcome in outcomes for defect in outcome.defects]
    walls = {members[0]: outcome.wall for members, outcome in zip(entries, outcomes, strict=True)}
    return {
        "kept": [lesion for lesion, _, _ in kept],
        "positions": [image for _, image, _ in kept],
        "native_sizes": [native for _, _, native in kept],
        "bits": [(outcome.depth, outcome.unused_bits) for _, outcome in made],
        "defects": [
            astuple(defect) for defect in [*defects, *_hung_otherwise(walls), *_nearly_black(made)]
        ],
    }


def _hung_otherwise(walls: dict[Lesion, Side | None]) -> list[Defect]:
    """Images whose chest wall is not where most images of that breast have it.

    Data sets differ in how they hang films. So the majority decides at which edge of the image a
    left breast's chest wall should be. Images with an unknown breast or edge are not counted.
    """
    known = {lesion: wall for lesion, wall in walls.items() if lesion.side and wall}
    agrees = [lesion.side is wall for lesion, wall in known.items()]
    usual = 2 * sum(agrees) > len(agrees)
    if 2 * sum(agrees) == len(agrees):
        return []
    defects = []
    for lesion, wall in known.items():
        if (lesion.side is wall) is not usual:
            detail = (
                f"recorded as {lesion.side}, chest wall on the {wall.lower()} of the image, where "
                "most of this data set have it on the other side"
            )
            action = "flipped by what the image shows"
            defects.append(Defect(lesion.image, DefectKind.LATERALITY, detail, action))
    return defects


def _nearly_black(made: Sequence[tuple[_Shown, _Outcome]]) -> list[Defect]:
    """Images whose values leave their highest bits unused: all of one depth, or single ones.

    A dark image is no sign of it, but a whole set of them is: 12 bits in files of 16, say.
    """
    defects = []
    for depth in {outcome.depth for _, outcome in made}:
        of_depth = [(shown, outcome) for shown, outcome in made if outcome.depth == depth]
        unused = min(outcome.unused_bits for _, outcome in of_depth)
        if unused >= DARK_SET:
            detail = f"no image of {depth} bits uses more than the lower {depth - unused}"
            action = f"used as they are; data.bits_stored={depth - unused} takes these for all bits"
            defects.append(Defect("*", DefectKind.NEARLY_BLACK, detail, action))
            continue
        for (first, *_), outcome in of_depth:
            if outcome.unused_bits >= DARK_IMAGE:
                detail = f"uses the lower {depth - outcome.unused_bits} of {depth} bits"
                action = "used as it is; others of the data set use more bits"
                defects.append(Defect(first.id, DefectKind.NEARLY_BLACK, detail, action))
    return defects
