"""Decode, equalise and resize every crop once, into a cache keyed by content.

The cache holds one folder a data set and network size: `images.npy`, uint8 of shape (n, size,
size), mapped and not loaded, and `about.json`. A folder is written beside its place and renamed
into it, so that two processes may do it at once and a killed one leaves nothing half done.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import ClaheConfig
from mcalc.data.dicom import UnreadableImage, read_image
from mcalc.data.records import Defect, DefectKind, Lesion
from mcalc.errors import UserError

FORMAT = 1
"""Raised when prepared pixels change for the same file and settings."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Crops as a network takes them, but for normalisation."""

    lesions: tuple[Lesion, ...]
    """Those whose crop could be read, in the index's order."""
    images: npt.NDArray[np.uint8]
    """(n, size, size), grey 0..255, memory-mapped read-only."""
    native_sizes: npt.NDArray[np.int64]
    """(n, 2): width and height of each crop file, pixels."""
    defects: tuple[Defect, ...]
    """Crops that could not be read."""


def enhance(pixels: npt.NDArray[np.uint8 | np.uint16], clahe: ClaheConfig) -> npt.NDArray[np.uint8]:
    """CLAHE at native size and depth, then 8 bits.

    `pixels`: (H, W), uint8 or uint16. As adapthisteq, which works on the image's own class.
    """
    equalised: npt.NDArray[Any] = pixels
    if clahe.enabled:
        tiles = (clahe.tiles, clahe.tiles)
        equalised = cv2.createCLAHE(clipLimit=clahe.clip_limit, tileGridSize=tiles).apply(pixels)
    if equalised.dtype == np.uint16:
        # 65535 / 257 = 255: the full range onto the full range
        equalised = np.rint(equalised / 257.0)
    return equalised.astype(np.uint8)


def fit(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Stretch to (size, size): area average where it shrinks, bilinear where it grows."""
    shrinks = max(pixels.shape) > size
    resized = cv2.resize(
        pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(resized, dtype=np.uint8)


def file_digests(lesions: Sequence[Lesion]) -> list[str]:
    """SHA-256 of each lesion's crop file; empty text where there is none to read."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_digest, (lesion.crop for lesion in lesions)))


def fingerprint(lesions: Sequence[Lesion], digests: Sequence[str]) -> str:
    """Hash of what the data is: which lesions, of whom, with what label and which pixels.

    Independent of the rows' order and of where the files lie.
    """
    rows = sorted(
        f"{lesion.id}|{lesion.patient}|{lesion.label}|{content}"
        for lesion, content in zip(lesions, digests, strict=True)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def prepare(
    lesions: Sequence[Lesion],
    digests: Sequence[str],
    size: int,
    clahe: ClaheConfig,
    cache: Path,
    progress: Progress | None = None,
) -> Prepared:
    """Read the prepared crops from the cache, preparing them first where they are not there.

    Raises UserError when not one crop can be read, or the cache cannot be written.
    """
    present = [i for i, lesion in enumerate(lesions) if lesion.crop is not None]
    chosen = [lesions[i] for i in present]
    settings = {"format": FORMAT, "size": size, "clahe": asdict(clahe), "cv2": cv2.__version__}
    content = json.dumps([settings, [[lesions[i].id, digests[i]] for i in present]])
    place = cache / "prepared" / hashlib.sha256(content.encode()).hexdigest()[:20]
    if not (place / "about.json").is_file():
        _write(place, chosen, size, clahe, progress)
    return _load(place, chosen)


def _load(place: Path, lesions: Sequence[Lesion]) -> Prepared:
    about = json.loads((place / "about.json").read_text())
    unreadable = {entry["lesion"]: entry["detail"] for entry in about["unreadable"]}
    return Prepared(
        lesions=tuple(lesion for lesion in lesions if lesion.id not in unreadable),
        images=np.load(place / "images.npy", mmap_mode="r"),
        native_sizes=np.array(about["native_sizes"], dtype=np.int64).reshape(-1, 2),
        defects=tuple(
            Defect(lesion, DefectKind.CROP_UNREADABLE, detail, "left out")
            for lesion, detail in unreadable.items()
        ),
    )


def _write(
    place: Path,
    lesions: Sequence[Lesion],
    size: int,
    clahe: ClaheConfig,
    progress: Progress | None,
) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
    except OSError as error:
        raise UserError(
            f"the cache {place.parent} cannot be written ({error.strerror}): name a writable "
            "folder with data.cache=PATH"
        ) from error
    try:
        images = np.lib.format.open_memmap(
            draft / "images.npy", mode="w+", dtype=np.uint8, shape=(len(lesions), size, size)
        )
        native_sizes: list[tuple[int, int]] = []
        unreadable: list[dict[str, str]] = []
        with ThreadPoolExecutor() as pool:
            one = pool.map(_prepare_one, lesions, repeat(size), repeat(clahe))
            for done, (lesion, outcome) in enumerate(zip(lesions, one, strict=True), start=1):
                if isinstance(outcome, UnreadableImage):
                    unreadable.append({"lesion": lesion.id, "detail": str(outcome)})
                else:
                    images[len(native_sizes)] = outcome[0]
                    native_sizes.append(outcome[1])
                if progress:
                    progress(done, len(lesions))
        if not native_sizes:
            first = unreadable[0]["detail"] if unreadable else "no lesion has a crop on disk"
            raise UserError(f"not one crop could be read; the first: {first}")
        images.flush()
        if unreadable:
            # the file was made for all of them; keep the rows that hold an image
            np.save(draft / "images.npy", np.array(images[: len(native_sizes)]))
        about = {"native_sizes": native_sizes, "unreadable": unreadable}
        (draft / "about.json").write_text(json.dumps(about))
        _settle(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _settle(draft: Path, place: Path) -> None:
    """Move the finished draft into place; where another process was first, its work stands."""
    for file in draft.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    try:
        draft.rename(place)
    except OSError:
        if not (place / "about.json").is_file():
            raise


def _prepare_one(
    lesion: Lesion, size: int, clahe: ClaheConfig
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]] | UnreadableImage:
    if lesion.crop is None:
        return UnreadableImage(f"{lesion.id} has no crop on disk")
    try:
        pixels = read_image(lesion.crop)
    except UnreadableImage as error:
        return error
    height, width = pixels.shape
    return fit(enhance(pixels, clahe), size), (width, height)


def _digest(crop: Path | None) -> str:
    try:
        if crop is None:
            return ""
        with crop.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # unreadable: `prepare` says so, with the lesion's name
        return ""
