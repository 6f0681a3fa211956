"""Heat maps beside predictions, as pictures and as DICOM that other programs read."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from mcalc.predict.dicom_output import write_dicom
from mcalc.predict.overlay import file_name, overlay
from mcalc.predict.table import Row

from .test_predicting import crops_of, predict

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("predict")]
ONE = "run=sq/head.weight_lr=20"
CARRIED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(record: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A folder of DICOM output, the crop that it is of, and what was printed."""
    folder = tmp_path_factory.mktemp("out")
    lesion = next(iter(crops_of(record).values()))
    picture = folder / "own.png"
    grey = np.random.default_rng(0).integers(0, 255, (120, 90), dtype=np.uint8)
    cv2.imwrite(str(picture), grey)
    said = predict(
        record, ONE, f"input={lesion},{picture}", "output=dicom", f"to={folder / 'dicom'}",
        f"heat_maps={folder / 'maps'}",
    )  # fmt: skip
    patient = str(pydicom.dcmread(lesion, stop_before_pixels=True).PatientID)
    rest = said.stdout.replace(str(lesion), "") + said.stderr
    assert patient not in rest, "no text of a header is repeated"
    return folder, lesion, said.stdout


def test_a_picture_for_each_image(written: tuple[Path, Path, str]) -> None:
    folder, lesion, _ = written
    for name in (str(lesion), str(folder / "own.png")):
        image = cv2.imread(str(folder / "maps" / f"{file_name(name)}.png"))
        assert image is not None
        assert image.shape == (224, 224, 3)


def test_both_objects_belong_to_the_images_study(written: tuple[Path, Path, str]) -> None:
    folder, lesion, _ = written
    source = pydicom.dcmread(lesion, stop_before_pixels=True)
    for ending in ("heat", "report"):
        made = pydicom.dcmread(folder / "dicom" / f"{file_name(str(lesion))}-{ending}.dcm")
        for name in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert made[name].value == source[name].value
        assert made.SOPInstanceUID != source.SOPInstanceUID
        other = pydicom.dcmread(
            folder / "dicom" / f"{file_name(str(folder / 'own.png'))}-{ending}.dcm"
        )
        assert str(other.get("PatientName", "")) == ""
    picture = pydicom.dcmread(folder / "dicom" / f"{file_name(str(lesion))}-heat.dcm")
    assert picture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert picture.pixel_array.shape == (224, 224, 3)
    assert "no medical device" in picture.ImageComments


def test_the_report_says_what_the_table_says(written: tuple[Path, Path, str]) -> None:
    folder, lesion, printed = written
    row = next(csv.DictReader(io.StringIO(printed)))
    report = highdicom.sr.srread(folder / "dicom" / f"{file_name(str(lesion))}-report.dcm")
    (group,) = report.content.get_image_measurement_groups()
    values = {each.name.meaning: each.value for each in group.get_measurements()}
    assert values["Probability of malignancy"] == pytest.approx(float(row["probability"]), abs=1e-6)
    assert values["Operating point"] == pytest.approx(float(row["threshold"]), abs=1e-6)
    (called,) = group.get_qualitative_evaluations()
    assert called.value.meaning.lower() == row["called"]
    source = pydicom.dcmread(lesion, stop_before_pixels=True)
    referred = {each.referenced_sop_instance_uid for each in group.source_images}
    assert source.SOPInstanceUID in referred


@pytest.mark.parametrize(("program", "ending"), [("dsrdump", "report"), ("dcm2pnm", "heat")])
def test_dcmtk_reads_both(
    written: tuple[Path, Path, str], tmp_path: Path, program: str, ending: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip("dcmtk is not installed")
    folder = written[0] / "dicom"
    files = sorted(folder.glob(f"*-{ending}.dcm"))
    assert len(files) == 2
    for file in files:
        more = ["--write-png", str(tmp_path / "x.png")] if program == "dcm2pnm" else []
        done = subprocess.run(
            [program, *more[:1], str(file), *more[1:]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "E:" not in done.stderr
        if program == "dsrdump":
            assert "Probability of malignancy" in done.stdout


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # as anonymisation leaves a header
        (dict.fromkeys(CARRIED), dict.fromkeys(CARRIED, "")),
        ({"PatientName": ["A^B", "C^D"], "PatientSex": "female"}, {"PatientName": ""}),
        ({"PatientBirthDate": "1950", "StudyTime": "10:10"}, {"PatientBirthDate": ""}),
        ({"StudyDate": "20200230"}, {"StudyDate": ""}),
        ({"SpecificCharacterSet": "NONE", "PatientName": "A^B"}, {"PatientName": "A^B"}),
        (
            {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Y^T=\u5c71\u7530"},
            {"PatientName": "Y^T=\u5c71\u7530"},
        ),
        ({"SOPClassUID": "1.2.3.4"}, {"PatientID": "P1"}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_header_of_patient_and_study_will_do(
    changes: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "source.dcm"
    header = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    header.PatientID = "P1"
    for name, value in changes.items():
        if value is None:
            header.pop(name, None)
        else:
            setattr(header, name, value)
    header.save_as(source)
    row = Row("source.dcm", 0.4, None, -0.4, "benign", 0.5)
    drawn = np.zeros((32, 32, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write_dicom(tmp_path, "out", source, drawn, row, ["AL3 3d07cfbb"])
    for path in paths:
        made = pydicom.dcmread(path)
        assert made.StudyInstanceUID == header.StudyInstanceUID
        assert {name: str(made[name].value or "") for name in expected} == expected
    if shutil.which("dsrdump"):
        done = subprocess.run(["dsrdump", paths[1]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_where_nothing_speaks_for_malignant_the_image_stays_as_it_is() -> None:
    grey = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    heat = np.zeros((20, 30), dtype=np.float32)
    heat[5, 7] = 1
    drawn = overlay(grey, heat)
    changed = np.any(drawn != grey[..., None], axis=2)
    assert changed[5, 7]
    changed[5, 7] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("output=dicom",), "to=FOLDER"),
        (("heat_maps=mlruns/mlflow.db/x",), "cannot write"),
        (("output=dicom", "to=mlruns/mlflow.db/x"), "cannot write"),
    ],
)
def test_mistakes_are_one_sentence(record: Path, arguments: tuple[str, ...], expected: str) -> None:
    path = next(iter(crops_of(record).values()))
    said = predict(record, ONE, f"input={path}", *arguments, status=2)
    (line,) = [each for each in said.stderr.splitlines() if each.startswith("error: ")]
    assert expected in line


def test_the_map_of_several_networks_is_the_mean_of_theirs(record: Path, tmp_path: Path) -> None:
    from mcalc import runs
    from mcalc.models import build_classifier
    from mcalc.predict.images import InputImage
    from mcalc.predict.overlay import heat_of, joint_heat

    names = ("head.weight_lr=1", "head.weight_lr=20")
    networks = [runs.network(f"sq/{name}", str(record / "mlruns")) for name in names]
    # six iterations leave them alike where they look: one that is drawn anew looks elsewhere
    drawn_anew = build_classifier(networks[1].config.backbone, seed=9)
    networks[1] = replace(networks[1], built=drawn_anew)
    grey = np.random.default_rng(0).integers(0, 255, (224, 224), dtype=np.uint8)
    images = [InputImage("one", grey, None), InputImage("none", None, None, "blank")]
    first, second = (heat_of(network, images)[0] for network in networks)
    joint = joint_heat(networks, (0.25, 0.75), (images, images))
    assert list(joint) == [0]
    np.testing.assert_allclose(joint[0], 0.25 * first + 0.75 * second, atol=1e-6)
    assert np.abs(first - second).max() > 0.01, "else any of them would do"

    lesion = next(iter(crops_of(record).values()))
    both = "run=" + ",".join(f"sq/{name}" for name in names)
    said = predict(
        record, both, f"input={lesion}", "output=dicom", f"to={tmp_path}", f"heat_maps={tmp_path}"
    )
    assert "heat maps of 1 image\n" in said.stderr
    (report,) = tmp_path.glob("*-report.dcm")
    text = report.read_bytes().decode(errors="replace")
    assert "mean of 2 networks" in text
    assert all(f"network: {name}" in text for name in names)
