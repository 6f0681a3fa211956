"""Writing the phantom's DICOM files: Secondary Capture objects shaped as CBIS-DDSM's.

Nothing in them depends on time, machine or the version of pydicom, so that the same phantom has
the same bytes everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    PYDICOM_ROOT_UID,
    UID,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_row import PhantomRow

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""(rows, columns), larger is brighter."""

_IMPLEMENTATION_UID = UID(PYDICOM_ROOT_UID + "1.2020")


def case_uid(settings: PhantomConfig, case: str, level: str) -> UID:
    """The UID of a case's study, series or file: a hash of what the phantom is and of its name.

    Not of the number of lesions: a larger phantom of the same kind has the same first cases.
    """
    kind = f"{settings.seed}/{float(settings.difficulty)!r}/{settings.full_height}"
    words = f"mcalc phantom/{kind}/{case}/{level}"
    return generate_uid(prefix=PYDICOM_ROOT_UID, entropy_srcs=[words])


def write_dicom(
    path: Path,
    pixels: Pixels,
    row: PhantomRow,
    case: str,
    description: str,
    settings: PhantomConfig,
) -> None:
    """Write one monochrome image as Implicit VR Little Endian Secondary Capture.

    Args:
        path: the file; its folders are made.
        pixels: (rows, columns), 8 or 16 bit, larger is brighter (MONOCHROME2).
        row: whose side and view it shows.
        case: PatientID, which in CBIS-DDSM is the name of the case's folder.
        description: SeriesDescription: `full mammogram images`, `cropped images` or
            `ROI mask images`.
        settings: the phantom's, which the UIDs are made from.
    """
    bits = pixels.dtype.itemsize * 8
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = case_uid(settings, case, description)
    data.StudyDate = ""
    data.StudyTime = ""
    data.AccessionNumber = ""
    data.Modality = "MG"
    data.ConversionType = "WSD"
    data.ReferringPhysicianName = ""
    data.SeriesDescription = description
    data.PatientName = case
    data.PatientID = case
    data.PatientBirthDate = ""
    data.PatientSex = ""
    data.BodyPartExamined = "BREAST"
    data.SecondaryCaptureDeviceManufacturer = "mcalc"
    data.SecondaryCaptureDeviceManufacturerModelName = "synthetic phantom, no patient"
    data.StudyInstanceUID = case_uid(settings, case, "study")
    data.SeriesInstanceUID = case_uid(settings, case, "series")
    data.StudyID = "DDSM"
    data.SeriesNumber = 1
    data.InstanceNumber = 1
    data.PatientOrientation = row.view.value
    data.Laterality = row.side.value[0]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelRepresentation = 0
    data.SmallestImagePixelValue = int(pixels.min())
    data.LargestImagePixelValue = int(pixels.max())
    little_endian = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    raw = little_endian.tobytes()
    # The value of a DICOM element has an even number of bytes.
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OW"

    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    # Otherwise pydicom writes its version, and another pydicom would give other bytes.
    data.file_meta.ImplementationClassUID = _IMPLEMENTATION_UID
    data.file_meta.ImplementationVersionName = "MCALC PHANTOM"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        data.save_as(file, enforce_file_format=True)
        file.flush()
        os.fsync(file.fileno())
