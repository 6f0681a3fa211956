"""Writing the phantom's DICOM files: Secondary Capture objects shaped as CBIS-DDSM's.

Nothing in them depends on time, machine or the version of pydicom, so that the same phantom has
the same bytes everywhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from mcalc.atomic_write import sync
from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.records import Side

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""(rows, columns), larger is brighter."""

FULL, CROP, MASK = "full mammogram images", "cropped images", "ROI mask images"
"""SeriesDescription of each kind of image."""
_EMPTY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
    "PatientSex",
)  # fmt: skip
"""Elements that the standard asks for and that say nothing here."""
_IMPLEMENTATION_UID = uid.UID(uid.PYDICOM_ROOT_UID + "1.2020")


def case_uid(settings: PhantomConfig, case: str, level: str) -> uid.UID:
    """The UID of a case's study, series or file: a hash of what the phantom is and of its name.

    Not of the number of lesions: a larger phantom of the same kind has the same first cases.
    """
    kind = f"{settings.seed}/{float(settings.difficulty)!r}/{settings.full_height}"
    words = f"mcalc phantom/{kind}/{case}/{level}"
    return uid.generate_uid(prefix=uid.PYDICOM_ROOT_UID, entropy_srcs=[words])


def set_pixels(data: Dataset, pixels: npt.NDArray[np.unsignedinteger]) -> None:
    """Put pixels (rows, columns) into a data set that says how deep they are."""
    data.Rows, data.Columns = pixels.shape
    data.SmallestImagePixelValue = int(pixels.min())
    data.LargestImagePixelValue = int(pixels.max())
    raw = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    # the value of a DICOM element has an even number of bytes
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OW"


def write_dicom(
    path: Path, pixels: Pixels, row: PhantomRow, description: str, settings: PhantomConfig
) -> None:
    """Write one monochrome image as Implicit VR Little Endian Secondary Capture.

    Args:
        path: the file; its folders are made.
        pixels: (rows, columns), 8 or 16 bit, larger is brighter (MONOCHROME2), chest wall on the
            left. Left breasts hang like that; right ones are stored mirrored.
        row: whose side and view it shows. PatientID is, as in CBIS-DDSM, the name of the case's
            folder: that of the image (`FULL`), or of the lesion.
        description: SeriesDescription: `FULL`, `CROP` or `MASK`.
        settings: the phantom's, which the UIDs are made from.
    """
    bits = pixels.dtype.itemsize * 8
    case = row.image_case if description == FULL else row.lesion_case
    data = Dataset()
    for keyword in _EMPTY:
        setattr(data, keyword, "")
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID = uid.SecondaryCaptureImageStorage
    data.SOPInstanceUID = case_uid(settings, case, description)
    data.Modality = "MG"
    data.ConversionType = "WSD"
    data.SeriesDescription = description
    data.PatientName = data.PatientID = case
    data.BodyPartExamined = "BREAST"
    data.SecondaryCaptureDeviceManufacturer = "mcalc"
    data.SecondaryCaptureDeviceManufacturerModelName = "synthetic phantom, no patient"
    data.StudyInstanceUID = case_uid(settings, case, "study")
    data.SeriesInstanceUID = case_uid(settings, case, "series")
    data.StudyID = "DDSM"
    data.PatientOrientation = row.view.value
    data.Laterality = row.side.value[0]
    data.SeriesNumber = data.InstanceNumber = data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelRepresentation = 0
    set_pixels(data, pixels if row.side is Side.LEFT else pixels[:, ::-1])
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    # Otherwise pydicom writes its version, and another pydicom would give other bytes.
    data.file_meta.ImplementationClassUID = _IMPLEMENTATION_UID
    data.file_meta.ImplementationVersionName = "MCALC PHANTOM"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    sync(path)
