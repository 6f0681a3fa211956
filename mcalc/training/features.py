"""What a frozen network makes of images, kept in the cache by the content of both.

One .npy file, float32, (n, ...): the training images as each of their augmented copies, then those
that are evaluated. Behind them stand the file's name and their CRC-32, which are compared whenever
the file is read: what a disk damaged, or somebody exchanged, is computed anew. It is written aside
and renamed, under a lock: of several processes that need it one computes, and the others wait.
"""

from __future__ import annotations

import hashlib
import json
import logging
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor, nn

from mcalc.atomic_write import write_binary
from mcalc.config import NUMERICS_VERSION
from mcalc.data.loading import Crops
from mcalc.errors import UserError
from mcalc.file_digest import file_crc32
from mcalc.iteration import Progress
from mcalc.models import Classifier, CutNetwork
from mcalc.models.tensors import tensors_of
from mcalc.training.device import one_opencv_thread

FORMAT = 3
"""Raised when features change for the same images and network, or their file does."""
_END = struct.Struct("<20sI")
"""Behind the rows: the name of the file, which says of what they are, and their CRC-32."""
_DAMAGED = (
    AttributeError, EOFError, OSError, SyntaxError, TokenError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What reading a damaged file raises; NumPy reads headers as Python's code, zips as arrays."""
_IN_MEMORY = 2**30
"""Bytes up to which a file is read whole: single rows of a mapped one cost more."""
_log = logging.getLogger(__name__)
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Passes:
    """Images as they are shown to the frozen part."""

    crops: Crops
    copies: int
    """Augmented copies; 1 for what is evaluated, as it is."""
    augmented: bool
    batch: int
    """Images at once, as in the ordinary loop: PyTorch's last bits depend on it."""

    @property
    def count(self) -> int:
        """Rows of the features."""
        return len(self.crops) * self.copies

    def batches(self) -> Iterator[Tensor]:
        """Images (B, 1, S, S) uint8: all of copy 0, then all of copy 1, ..."""
        for copy in range(self.copies):
            for start in range(0, len(self.crops), self.batch):
                positions = range(start, min(start + self.batch, len(self.crops)))
                if not self.augmented:
                    yield self.crops.unaugmented(positions)
                    continue
                images = [self.crops.changed(copy, position) for position in positions]
                yield torch.from_numpy(np.stack(images))[:, None]


def frozen_digest(whole: Classifier, cut: CutNetwork) -> str:
    """SHA-256 of the frozen part: its steps, its layers, its weights, and how images come to it."""
    found = hashlib.sha256(cut.frozen.code.encode())
    for name, layer in sorted(cut.frozen.named_modules()):
        found.update(f"{name} {_described(layer)}".encode())
    tensors = {**tensors_of(cut.frozen), "mean": whole.mean, "std": whole.std}
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _described(layer: nn.Module) -> str:
    """A layer's class and the numbers that it was made with, as a slope, a stride, a padding.

    From its attributes: what it prints of itself leaves some of them out.
    """
    own = {
        name: value
        for name, value in sorted(vars(layer).items())
        if not name.startswith("_") and name != "training" and _is_plain(value)
    }
    return f"{type(layer).__module__}.{type(layer).__qualname__} {own!r}"


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)


def images_digest(images: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of prepared images."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def place_of(cache: Path, conditions: Sequence[Any]) -> Path:
    """Where the features lie that follow from these conditions."""
    versions = [FORMAT, NUMERICS_VERSION, torch.__version__, cv2.__version__]
    text = json.dumps([versions, conditions])
    return cache / "features" / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.npy"


def shape_of(whole: Classifier, cut: CutNetwork, size: int) -> tuple[int, ...]:
    """Shape of one image's features."""
    return tuple(_features(whole, cut, torch.zeros(1, 1, size, size, dtype=torch.uint8)).shape[1:])


def read_or_compute(
    place: Path,
    whole: Classifier,
    cut: CutNetwork,
    passes: Sequence[Passes],
    progress: Progress | None = None,
) -> list[Rows]:
    """The features of each of the passes, (n, ...), from the file at `place`.

    It is made first where it is not there, or is not of this shape. The network stays where it is,
    on a CPU or a GPU.

    Args:
        place: as `place_of`.
        whole: normalises the images.
        cut: its frozen part.
        passes: what is shown to it.
        progress: called with (images done, images in all).

    Raises UserError where the cache cannot be written.
    """
    count = sum(each.count for each in passes)
    shape = (count, *shape_of(whole, cut, passes[0].crops.images.shape[-1]))
    rows = _read(place, shape)
    if rows is None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # the system releases the lock when a process is killed
            with FileLock(place.parent / f".lock-{place.stem}"):
                # another process may have been at work while this one waited
                if _read(place, shape) is None:
                    if place.exists():
                        _log.warning(
                            f"  warning: the features in {place} are damaged, and are computed anew"
                        )
                    _write(place, whole, cut, passes, shape, progress)
        except OSError as error:
            raise UserError(
                f"the cache {place.parent} cannot be written ({error.strerror}): name a writable "
                "folder on a disk with free space with data.cache=PATH"
            ) from error
        rows = _read(place, shape)
        if rows is None:
            raise UserError(f"the cache {place} was changed while it was written: try again")
    ends = np.cumsum([each.count for each in passes])
    return np.split(rows, ends[:-1])


def _read(place: Path, shape: tuple[int, ...]) -> Rows | None:
    try:
        rows = np.load(place, mmap_mode="r", allow_pickle=False)
        if rows.shape != shape or rows.dtype != np.float32:
            return None
        end = rows.offset + rows.nbytes
        with place.open("rb") as file:
            file.seek(end)
            name, known = _END.unpack(file.read())
        if name != place.stem.encode() or file_crc32(place, rows.offset, end) != known:
            return None
    except _DAMAGED:
        return None
    return np.array(rows) if rows.nbytes <= _IN_MEMORY else np.asarray(rows)


def _write(
    place: Path,
    whole: Classifier,
    cut: CutNetwork,
    passes: Sequence[Passes],
    shape: tuple[int, ...],
    progress: Progress | None,
) -> None:
    done, checksum = 0, 0
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with write_binary(place) as file, one_opencv_thread():
        np.lib.format.write_array_header_1_0(file, header)
        for images in (images for each in passes for images in each.batches()):
            features = _features(whole, cut, images).cpu().float().contiguous()
            content = features.numpy().astype("<f4", copy=False).data
            file.write(content)
            checksum = zlib.crc32(content, checksum)
            done += len(images)
            if progress:
                progress(done, shape[0])
        file.write(_END.pack(place.stem.encode(), checksum))


def _features(whole: Classifier, cut: CutNetwork, images: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = cut.frozen(whole.channels(images.to(whole.mean.device)))
    return found
