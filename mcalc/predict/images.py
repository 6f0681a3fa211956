"""Images to look at, prepared as a network's own were: loose files, or a whole data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcalc.config import DataConfig, Region
from mcalc.data import Lesion, Pathology
from mcalc.data.completeness import check_completeness
from mcalc.data.images import (
    Look,
    Prepared,
    UnreadableImage,
    Unusable,
    file_digests,
    pixel_spacing,
    prepare_image,
    prepare_images,
)
from mcalc.data.images.memory_budget import MemoryBudget
from mcalc.data.images.prepare import PIXELS_AT_ONCE
from mcalc.data.images.regions import UnknownPixelSizeError, decoded_pixels
from mcalc.data.images.resize import Grey8
from mcalc.data.records import Index
from mcalc.data.sources.paths import files_below, is_image_file
from mcalc.data.splits import Sample, make_samples
from mcalc.errors import UserError
from mcalc.iteration import Progress, in_threads, with_progress

_NO_PIXEL_SIZE = (
    "pixels of unknown size: this network measures in mm, and the file does not say how large its "
    "pixels are; name data.pixel_size=MM"
)


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image that a network is to look at, or why it cannot."""

    id: str
    pixels: Grey8 | None
    """(S, S), grey 0..255, as the network takes it; None where it cannot be used."""
    look: Look | None
    refusal: str = ""
    """Why it cannot be used; empty where it can."""
    file: Path | None = None
    """The file that it was made of, where there is one."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """The images of a data set, with what is known of them."""

    images: tuple[InputImage, ...]
    """One for each sample, in order."""
    samples: tuple[Sample, ...]
    lesions: tuple[Lesion, ...]
    """Of which `Sample.lesions` are positions."""
    native_sizes: tuple[tuple[int, int], ...]
    """Width and height of each lesion, pixels; -1 where unknown."""
    description: str
    source: str
    """As in `data.source`."""
    warnings: tuple[str, ...]


def input_files(words: Sequence[str]) -> list[tuple[str, Path]]:
    """Names and paths of the image files that a user names: files, and folders at any depth.

    Raises UserError for a folder without an image.
    """
    found: dict[Path, str] = {}
    for word in words:
        place = Path(word).expanduser()
        if place.is_dir():
            inside = [path for path in files_below(place) if is_image_file(path)]
            if not inside:
                raise UserError(
                    f"input={word}: no image in this folder or below: expected DICOM, JPEG or PNG "
                    "files"
                )
            for path in inside:
                found.setdefault(path.absolute(), str(Path(word) / path.relative_to(place)))
        else:
            found.setdefault(place.absolute(), word)
    return [(name, path) for path, name in found.items()]


def prepare_files(
    files: Sequence[tuple[str, Path]],
    size: int,
    settings: DataConfig,
    progress: Progress | None = None,
) -> list[InputImage]:
    """The files, each prepared by itself as the settings say.

    With region=crop a file is a lesion's crop, with region=full a whole mammogram.

    Raises UserError for region=patch, whose window needs a mask.
    """
    if settings.region is Region.patch:
        raise UserError(
            "this network looks at a window around a lesion (data.region=patch), which its mask "
            "places: name a data set that has masks, as data=cbis_ddsm data.root=PATH, in place of "
            "input="
        )
    budget = MemoryBudget(PIXELS_AT_ONCE)

    def work(place: int) -> InputImage:
        name, path = files[place]
        lesion = _unlabelled(name, path, settings.region)
        try:
            with budget.reserve(decoded_pixels(lesion, settings.region)):
                image, region = prepare_image(lesion, size, settings)
            spacing = pixel_spacing(path)
        except Unusable as error:
            return InputImage(name, None, None, f"{error.kind.value}: {error.detail}")
        except UnknownPixelSizeError:
            return InputImage(name, None, None, _NO_PIXEL_SIZE)
        except UnreadableImage as error:
            return InputImage(name, None, None, str(error))
        height, width = region.pixels.shape
        look = Look.of(
            image,
            (-1, -1) if settings.region is Region.full else (width, height),
            mm_per_pixel=spacing,
            bits=8 * region.pixels.itemsize,
            unused_bits=region.unused_bits,
        )
        return InputImage(name, image, look, file=path)

    made = in_threads(work, range(len(files)), os.cpu_count())
    found = dict(with_progress(made, len(files), progress))
    return [found[place] for place in range(len(files))]


def _unlabelled(name: str, path: Path, region: Region) -> Lesion:
    """A lesion with one file; of its pathology, which is not known, nothing is made."""
    crop, full = (None, path) if region is Region.full else (path, None)
    return Lesion(id=name, patient=name, pathology=Pathology.BENIGN, crop=crop, full=full)


def prepare_source(
    index: Index, size: int, settings: DataConfig, progress: Progress | None = None
) -> LabelledImages:
    """All lesions of an index that can be read, as the settings prepare and label them.

    Prepared images are kept in `data.cache`. Raises UserError where fewer lesions are readable than
    `data.min_completeness` asks for, and as `prepare_images`, `make_samples`.
    """
    cache = Path(settings.cache)
    digests = file_digests(index.lesions, settings.region, cache)
    done = prepare_images(index.lesions, digests, size, settings, cache, progress)
    check_completeness(index, settings.min_completeness, done.defects, settings.region)
    made = make_samples(done.lesions, done.positions, settings)
    lost = len(index.lesions) - len(done.lesions)
    warnings = [*dict.fromkeys(index.notes), *made.warnings]
    if lost:
        warnings.append(f"{lost} of {len(index.lesions)} lesions have no image that can be read")
    sizes = [(int(width), int(height)) for width, height in done.native_sizes.tolist()]
    return LabelledImages(
        tuple(_input_of(sample, done, sizes) for sample in made.samples),
        made.samples,
        done.lesions,
        tuple(sizes),
        index.description,
        settings.source,
        tuple(warnings),
    )


def _input_of(sample: Sample, done: Prepared, sizes: Sequence[tuple[int, int]]) -> InputImage:
    pixels = np.asarray(done.images[sample.image])
    bits: dict[str, float] = {}
    if done.bits:
        depth, unused = done.bits[sample.image]
        bits = {"bits": depth, "unused_bits": unused}
    lesion = done.lesions[sample.lesions[0]]
    file = lesion.crop or lesion.full
    spacing = pixel_spacing(file) if file else None
    look = Look.of(pixels, sizes[sample.lesions[0]], mm_per_pixel=spacing, **bits)
    return InputImage(sample.id, pixels, look, file=file)
