"""Cost of preparing images: time of each stage, images a second, memory.

Drawn mammograms of the real size in the codings that CBIS-DDSM and clinics have. One file stands
for all of a case, under as many names, so it is read from the system's memory and not from a disk.
"""

from __future__ import annotations

import os
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mcalc.config import DataConfig, Region, Unit
from mcalc.data import Lesion, Pathology, Side, View
from mcalc.data.images import cut, enhance_region, file_digests, fit, prepare_images, read_source

SIZE = 224
"""Width and height of the network's input, pixels."""
ROUNDS = 3
FULL_SHAPE, CROP_SHAPE = (5000, 3000), (400, 400)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    region: Region
    shape: tuple[int, int]
    syntax: UID
    images: int


def cases() -> list[Case]:
    full = [
        Case(Region.full, FULL_SHAPE, ExplicitVRLittleEndian, 24),
        Case(Region.full, FULL_SHAPE, RLELossless, 12),
        Case(Region.full, FULL_SHAPE, JPEGLosslessSV1, 12),
        Case(Region.full, FULL_SHAPE, JPEG2000Lossless, 8),
    ]
    return [
        Case(Region.crop, CROP_SHAPE, ExplicitVRLittleEndian, 400),
        Case(Region.patch, FULL_SHAPE, ExplicitVRLittleEndian, 24),
        *full,
    ]


def report(console: Console) -> None:
    """Print one row a region and coding."""
    table = Table(
        "region", "pixels", "transfer syntax", "read, ms", "region, ms", "CLAHE, ms", "fit, ms",
        "write, ms", "images/s", "memory, MB",
        title=f"preparing 16-bit DICOM at {SIZE} pixels; stages one at a time, median of {ROUNDS}; "
        f"images/s over {os.cpu_count()} cores; memory above what the process had",
    )  # fmt: skip
    for case in track(cases(), "preparing", console=console, transient=True):
        with tempfile.TemporaryDirectory() as folder:
            lesions = write_case(case, Path(folder))
            stages = [f"{1000 * seconds:.1f}" for seconds in time_stages(lesions[0], case)]
            rate, memory = time_all(lesions, case, Path(folder) / "cache")
            table.add_row(
                case.region,
                _pixels(case),
                case.syntax.name,
                *stages,
                f"{rate:.1f}",
                f"{memory:.0f}",
            )
    console.print(table)


def _pixels(case: Case) -> str:
    return f"{case.shape[1]} x {case.shape[0]}"


def _settings(region: Region) -> DataConfig:
    unit = Unit.image if region is Region.full else Unit.lesion
    return DataConfig(region=region, unit=unit)


def time_stages(lesion: Lesion, case: Case) -> list[float]:
    """Median seconds of read, region, CLAHE, fit and write."""
    settings = _settings(case.region)
    rounds: list[list[float]] = []
    with tempfile.TemporaryFile() as file:
        for _ in range(ROUNDS):
            marks = [time.perf_counter()]
            source = read_source(lesion, settings)
            marks.append(time.perf_counter())
            region = cut(source, lesion, settings)
            marks.append(time.perf_counter())
            enhanced = enhance_region(region, settings.clahe)
            marks.append(time.perf_counter())
            image = fit(enhanced, SIZE, settings.fit)
            marks.append(time.perf_counter())
            file.write(image.data)
            file.flush()
            marks.append(time.perf_counter())
            rounds.append([after - before for before, after in pairwise(marks)])
    return [statistics.median(stage) for stage in zip(*rounds, strict=True)]


def time_all(lesions: list[Lesion], case: Case, cache: Path) -> tuple[float, float]:
    """Images a second through `prepare`, and the most memory it took, MB."""
    settings = _settings(case.region)
    digests = file_digests(lesions, case.region, cache)
    with peak_memory() as peak:
        began = time.perf_counter()
        prepared = prepare_images(lesions, digests, SIZE, settings, cache)
        seconds = time.perf_counter() - began
    if len(prepared.images) != case.images:
        raise RuntimeError(f"{len(prepared.images)} of {case.images} images prepared")
    return case.images / seconds, peak()


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """MB of resident memory above the start, the most seen so far."""
    process = psutil.Process()
    start = process.memory_info().rss
    most = [start]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: (most[0] - start) / 1e6
    finally:
        done.set()
        watcher.join()


def write_case(case: Case, folder: Path) -> list[Lesion]:
    """The case's files and lesions."""
    image = folder / "image.dcm"
    write_dicom(image, mammogram(case.shape), case.syntax)
    mask = folder / "mask.dcm"
    on_lesion = np.zeros(case.shape, dtype=np.uint8)
    on_lesion[case.shape[0] // 2 :, case.shape[1] // 4 :][:200, :200] = 255
    write_dicom(mask, on_lesion, ExplicitVRLittleEndian)
    lesions = []
    for number in range(case.images):
        file = folder / f"{number}.dcm"
        os.link(image, file)
        lesion = _lesion(number)
        if case.region is Region.crop:
            lesions.append(replace(lesion, crop=file))
        else:
            lesions.append(replace(lesion, full=file, mask=mask))
    return lesions


def _lesion(number: int) -> Lesion:
    return Lesion(
        id=f"Bench_{number:05d}_LEFT_CC_1",
        patient=f"{number:05d}",
        side=Side.LEFT,
        view=View.CC,
        pathology=Pathology.BENIGN,
    )


def mammogram(shape: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Half an ellipse of tissue with a film's noise on a dark background."""
    height, width = shape
    y = np.linspace(-1.1, 1.1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1.4, width, dtype=np.float32)[None]
    thickness = np.sqrt(np.clip(1 - y**2 - x**2, 0, None))
    noise = np.random.default_rng(0).normal(0, 300, shape).astype(np.float32)
    return np.clip(2000 + 50_000 * thickness + noise, 0, 65535).astype(np.uint16)


def write_dicom(path: Path, pixels: npt.NDArray[np.integer], syntax: UID) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = generate_uid()
    bits = 8 * pixels.dtype.itemsize
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelData = pixels.tobytes()
    if syntax != ExplicitVRLittleEndian:
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = encapsulate([encode(pixels, syntax)])
    data.save_as(path, enforce_file_format=True)


def encode(pixels: npt.NDArray[np.integer], syntax: UID) -> bytes:
    """A frame at the full depth of its type."""
    bits = 8 * pixels.dtype.itemsize
    if syntax == RLELossless:
        return run_lengths(pixels)
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", reversible=True))
    if syntax == JPEGLosslessSV1:
        return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=bits))
    raise ValueError(syntax.name)


def run_lengths(pixels: npt.NDArray[np.integer]) -> bytes:
    """One segment for each byte of a pixel, the highest first (PS3.5 annex G)."""
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    planes = big_endian.view(np.uint8).reshape(*pixels.shape, -1)
    segments = []
    for number in range(planes.shape[-1]):
        segment = bytes(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., number])))
        segments.append(segment + b"\0" * (len(segment) % 2))
    ends = np.cumsum([64, *(len(segment) for segment in segments)]).tolist()
    header = [len(segments), *ends[:-1]]
    return struct.pack("<16L", *header, *[0] * (16 - len(header))) + b"".join(segments)


if __name__ == "__main__":
    report(Console())
