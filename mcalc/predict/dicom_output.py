"""What a network says of an image as DICOM: a picture with the heat map, and a structured report.

A Secondary Capture and an Enhanced SR by TID 1500 (DICOM PS3.16), written by highdicom. Where the
image was DICOM, both belong to its patient and study, whose attributes they carry on: treat them as
you treat the image. Of other images nobody is named.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM

from mcalc.atomic_write import refused_as, write_binary
from mcalc.predict.table import MALIGNANT, Row

_MAKER = "mcalc (research software)"
_SCHEME = "99MCALC"
"""Of codes that no standard has."""
_SERIES = 9001
_CARRIED: Mapping[str, Callable[[str], object] | None] = {
    "PatientID": None,
    "PatientName": None,
    "PatientBirthDate": DA,
    "PatientSex": ("M", "F", "O").__contains__,
    "AccessionNumber": None,
    "StudyID": None,
    "StudyDate": DA,
    "StudyTime": TM,
    "ReferringPhysicianName": None,
}
"""Attributes of patient and study -> a check that is false, or raises ValueError, for a value that
DICOM does not allow; None where any text is allowed."""
_SAY = "Research software, no medical device: nothing here may decide about a patient."


def write_dicom(
    folder: Path,
    name: str,
    source: Path | None,
    drawn: npt.NDArray[np.uint8],
    row: Row,
    networks: Sequence[str],
) -> tuple[Path, Path]:
    """Write both objects; returns their paths, `NAME-heat.dcm` and `NAME-report.dcm`.

    Args:
        folder: is made where it is not there.
        name: beginning of the files' names.
        source: the image's file; None where there is none to refer to.
        drawn: the image with its heat map, (H, W, 3) RGB 0..255.
        row: what is said of it; not refused.
        networks: name and run of each network that was asked, for the report.

    Raises UserError where the folder cannot be written.
    """
    with warnings.catch_warnings():
        # they would repeat a patient's name, or another value that has an unusual form
        warnings.simplefilter("ignore", UserWarning)
        reference = _dicom(source)
        picture = _picture(reference, drawn)
        report = _report(reference, picture, row, networks)
    paths = (folder / f"{name}-heat.dcm", folder / f"{name}-report.dcm")
    with refused_as(str(folder), "name a folder"):
        for path, made in zip(paths, (picture, report), strict=True):
            with write_binary(path) as file:
                made.save_as(file, enforce_file_format=True)
    return paths


def _dicom(source: Path | None) -> Dataset | None:
    """The header of a DICOM file that another object can refer to; None for any other file.

    What it says of patient and study is mended (`_carried`), and its texts are in Unicode.
    """
    if source is None:
        return None
    try:
        header = pydicom.dcmread(source, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return None
    needed = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    if not all(header.get(each) for each in needed):
        return None
    header.decode()
    for name in _CARRIED:
        setattr(header, name, _carried(name, header.get(name)))
    if "SpecificCharacterSet" in header:
        header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _carried(name: str, value: Any) -> str | None:
    """A value of patient or study as another object may have it; None where it may not.

    Headers of anonymised and of old files lack values, or have such as DICOM does not allow. Each
    of these may be empty, so that the picture and the report are written all the same.
    """
    if value is None or isinstance(value, MultiValue):
        return None
    text = str(value)
    allowed = _CARRIED[name]
    if allowed is None:
        return text
    try:
        return text if allowed(text) else None
    except ValueError:
        return None


def _picture(reference: Dataset | None, drawn: npt.NDArray[np.uint8]) -> hd.sc.SCImage:
    now = datetime.datetime.now()
    common: dict[str, Any] = {
        "pixel_array": drawn,
        "photometric_interpretation": "RGB",
        "bits_allocated": 8,
        "coordinate_system": "PATIENT",
        "patient_orientation": ("L", "F"),
        "series_instance_uid": hd.UID(),
        "series_number": _SERIES,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": _MAKER,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    if reference is not None:
        laterality = str(reference.get("ImageLaterality", "") or reference.get("Laterality", ""))
        if laterality in ("L", "R"):
            common["laterality"] = laterality
        picture = hd.sc.SCImage.from_ref_dataset(ref_dataset=reference, **common)
    else:
        picture = hd.sc.SCImage(
            study_instance_uid=hd.UID(), study_date=now.date(), study_time=now.time(), **common
        )
    # highdicom wants one; how a crop lies in the patient only its own file can say
    known = None if reference is None else reference.get("PatientOrientation")
    picture.PatientOrientation = list(known or [])
    picture.SeriesDescription = "mcalc: heat map (research)"
    picture.ImageComments = _SAY
    picture.BurnedInAnnotation = "NO"
    return picture


def _report(
    reference: Dataset | None, picture: hd.sc.SCImage, row: Row, networks: Sequence[str]
) -> hd.sr.EnhancedSR:
    # the picture first: patient and study are taken from there, where all is as DICOM wants it
    evidence: list[Dataset] = [picture]
    # readers refuse a reference to an image of a kind that they do not know
    if reference is not None and not reference.SOPClassUID.is_private:
        evidence.append(reference)
    images = [
        hd.sr.SourceImageForMeasurementGroup(each.SOPClassUID, each.SOPInstanceUID)
        for each in evidence
    ]
    asked = networks[0] if len(networks) == 1 else f"mean of {len(networks)} networks"
    algorithm = hd.sr.AlgorithmIdentification(
        name=f"mcalc: {asked}"[:64],
        version=version("mcalc"),
        parameters=[_SAY, *(f"network: {each}" for each in networks)],
    )
    measured = [_probability("PROB", "Probability of malignancy", row.probability)]
    if row.calibrated_probability is not None:
        measured.append(
            _probability(
                "CALPROB", "Calibrated probability of malignancy", row.calibrated_probability
            )
        )
    measured.append(_probability("THRESH", "Operating point", row.threshold))
    called = codes.SCT.Malignant if row.called == MALIGNANT else codes.SCT.Benign
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="Lesion"),
        finding_type=hd.sr.CodedConcept("129748003", "SCT", "Calcification"),
        algorithm_id=algorithm,
        measurements=measured,
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(
                name=hd.sr.CodedConcept("CALLED", _SCHEME, "Called at the operating point"),
                value=called,
            )
        ],
        source_images=images,
    )
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=hd.UID(), manufacturer_name=_MAKER, model_name="mcalc"
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=hd.sr.CodedConcept("71651007", "SCT", "Mammography"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    report = hd.sr.EnhancedSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=hd.UID(),
        series_number=_SERIES + 1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    report.SeriesDescription = "mcalc: report (research)"
    return report


def _probability(code: str, meaning: str, value: float | None) -> hd.sr.Measurement:
    assert value is not None  # the image was not refused
    return hd.sr.Measurement(
        name=hd.sr.CodedConcept(code, _SCHEME, meaning),
        value=round(value, 6),
        unit=hd.sr.CodedConcept("1", "UCUM", "no units"),
    )
