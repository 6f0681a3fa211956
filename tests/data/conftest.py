"""Small real downloads for tests: DICOM and JPEG files, and case CSVs as TCIA publishes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

HEADER = (
    "patient_id",
    "breast density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "calc type",
    "calc distribution",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)
PERSON = {"PatientName": "Doe^Jane", "PatientID": "19530117-4711", "PatientBirthDate": "19530117"}
"""What must never be seen in a message."""


def write_dicom(
    path: Path,
    pixels: npt.NDArray[Any],
    description: str | None = None,
    syntax: str = ImplicitVRLittleEndian,
    **elements: Any,
) -> Path:
    """A Secondary Capture file of grey pixels, with identifying elements as a clinic's has."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.UID(
        syntax if syntax == ImplicitVRLittleEndian else ExplicitVRLittleEndian
    )
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    for keyword, value in PERSON.items():
        setattr(dataset, keyword, value)
    if description is not None:
        dataset.SeriesDescription = description
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if syntax == RLELossless:
        dataset.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        meta.TransferSyntaxUID = UID(syntax)
        dataset.PixelData = encapsulate([encode_frame(pixels, syntax, dataset.BitsStored)])
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def encode_frame(pixels: npt.NDArray[Any], syntax: str, bits: int) -> bytes:
    """Grey pixels of so many stored bits as one frame; RLE is pydicom's own to write."""
    unsigned = pixels.view(f"u{pixels.itemsize}")
    if syntax in (JPEG2000Lossless, JPEG2000):
        lossless = {"codecformat": "J2K", "bitspersample": bits, "reversible": True}
        return bytes(imagecodecs.jpeg2k_encode(pixels, **lossless))
    if syntax in (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K):
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        level = 0 if syntax == JPEGLSLossless else 2
        return bytes(imagecodecs.jpegls_encode(unsigned, level=level))
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if syntax == JPEGLosslessSV1 else 7
        stored = unsigned & np.array(2**bits - 1, unsigned.dtype)
        options = {"lossless": True, "predictor": predictor, "bitspersample": bits}
        return bytes(imagecodecs.jpeg8_encode(stored, **options))
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        precision = 8 if pixels.itemsize == 1 else 12
        return bytes(imagecodecs.jpeg8_encode(pixels, level=98, bitspersample=precision))
    raise ValueError(f"no encoder of {syntax}")


def write_jpeg(path: Path, pixels: npt.NDArray[np.uint8], quality: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="JPEG", quality=quality)
    return path


def tissue(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint16]:
    """A crop: many grey values."""
    return np.random.default_rng(seed).integers(0, 65536, (height, width), dtype=np.uint16)


def outline(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A mask: two values."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return mask


class CaseCsv:
    """Rows of one case CSV under their official columns; `write` gives the published form."""

    def __init__(self, prefix: str = "Calc-Training") -> None:
        self.prefix = prefix
        self.rows: list[dict[str, str]] = []

    def add(
        self, patient: str = "P_00005", side: str = "RIGHT", view: str = "CC", number: int = 1,
        **values: str,
    ) -> dict[str, str]:  # fmt: skip
        """Append a row; `values` override columns, spaces written as underscores."""
        image = f"{self.prefix}_{patient}_{side}_{view}"
        lesion = f"{image}_{number}"
        serial = f"{len(self.rows) + 1:05d}"
        study, series = f"1.3.6.1.4.1.9590.77{serial}", f"1.3.6.1.4.1.9590.88{serial}"
        row = {
            "patient_id": patient,
            "breast density": "3",
            "left or right breast": side,
            "image view": view,
            "abnormality id": str(number),
            "abnormality type": "calcification",
            "calc type": "PLEOMORPHIC",
            "calc distribution": "N/A",
            "assessment": "4",
            "pathology": "MALIGNANT",
            "subtlety": "3",
            "image file path": f"{image}/{study}1/{series}1/000000.dcm",
            "cropped image file path": f"{lesion}/{study}2/{series}2/000001.dcm",
            "ROI mask file path": f"{lesion}/{study}2/{series}2/000000.dcm",
        }
        by_key = {column.replace(" ", "_").lower(): column for column in HEADER}
        row.update({by_key[key]: value for key, value in values.items()})
        self.rows.append(row)
        return row

    def text(self, end: str = "\n") -> str:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, HEADER, lineterminator=end)
        writer.writeheader()
        for row in self.rows:
            # the published files end the crop's path with a newline inside the quotes
            crop = row["cropped image file path"] + "\n"
            writer.writerow({**row, "cropped image file path": crop})
        return out.getvalue()

    def write(self, path: Path, end: str = "\n") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(end), encoding="utf-8", newline="")
        return path


@pytest.fixture
def dicom() -> Callable[..., Path]:
    return write_dicom


@pytest.fixture
def jpeg() -> Callable[..., Path]:
    return write_jpeg


@pytest.fixture
def grey() -> Callable[..., npt.NDArray[np.uint16]]:
    return tissue


@pytest.fixture
def two_values() -> Callable[..., npt.NDArray[np.uint8]]:
    return outline


@pytest.fixture
def case_csv() -> Callable[..., CaseCsv]:
    return CaseCsv


@pytest.fixture
def person() -> tuple[str, ...]:
    """Texts that identify the person of every DICOM that `dicom` writes."""
    return ("Doe", "Jane", "19530117", "4711")
