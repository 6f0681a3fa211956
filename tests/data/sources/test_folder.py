from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mcalc.config import DataConfig, Region, Unit
from mcalc.data.completeness import completeness
from mcalc.data.images.image_file import read_image
from mcalc.data.records import DefectKind, Pathology, Side, Split, View
from mcalc.data.sources.registry import open_source
from mcalc.errors import UserError

Make = Callable[..., Any]


def _data(root: Path, **settings: Any) -> DataConfig:
    return DataConfig(source="folder", root=str(root), **settings)


def _png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path)
    return path


def test_class_folders_with_a_folder_a_patient(
    tmp_path: Path, dicom: Make, jpeg: Make, grey: Make
) -> None:
    files = [
        _png(tmp_path / "Benign" / "ann" / "1.PNG"),
        dicom(tmp_path / "Benign" / "bea" / "scan" / "IM0001", grey(8, 9)),
        jpeg(tmp_path / "1" / "ann" / "left.jpeg", (grey(8, 9) >> 8).astype(np.uint8)),
        dicom(tmp_path / "1" / "cleo" / "x.DCM", grey(8, 9)),
    ]
    index = open_source(_data(tmp_path))
    lesions = {lesion.id: lesion for lesion in index.lesions}
    assert {name: lesion.crop for name, lesion in lesions.items()} == {
        path.relative_to(tmp_path).as_posix(): path for path in files
    }
    assert {name: (each.patient, each.label) for name, each in lesions.items()} == {
        "Benign/ann/1.PNG": ("ann", 0),
        "Benign/bea/scan/IM0001": ("bea", 0),
        "1/ann/left.jpeg": ("ann", 1),
        "1/cleo/x.DCM": ("cleo", 1),
    }
    assert index.notes == ()
    assert index.ledger == ()
    assert completeness(index) == 1
    # each is an image of its own, and can be read
    assert len({lesion.image for lesion in index.lesions}) == 4
    assert all(read_image(path).ndim == 2 for path in files)


def test_unknown_patients_are_a_loud_note(tmp_path: Path) -> None:
    _png(tmp_path / "b" / "1.png"), _png(tmp_path / "b" / "ann" / "2.png")
    _png(tmp_path / "M" / "1.png")
    index = open_source(_data(tmp_path))
    assert [lesion.patient for lesion in index.lesions] == ["M/1.png", "b/1.png", "ann"]
    (note,) = index.notes
    assert note.startswith("PATIENTS UNKNOWN for 2 of 3 images")
    (defect,) = index.ledger
    assert (defect.kind, defect.detail) == (
        DefectKind.PATIENT_UNKNOWN,
        "2 of 3 files tell no patient",
    )


def test_other_files_are_counted_and_an_image_without_a_class_is_lost(tmp_path: Path) -> None:
    _png(tmp_path / "benign" / "ann" / "1.png")
    (tmp_path / "benign" / "notes.txt").write_text("x")
    (tmp_path / "benign" / ".DS_Store").write_text("x")
    (tmp_path / "readme.txt").write_text("x")
    _png(tmp_path / "stray.png")
    index = open_source(_data(tmp_path))
    assert [lesion.id for lesion in index.lesions] == ["benign/ann/1.png"]
    assert index.unchecked == ("1 files that are neither DICOM, JPEG nor PNG were not looked at",)
    (defect,) = index.ledger
    assert (defect.lesion, defect.kind) == ("stray.png", DefectKind.BAD_VALUE)
    assert completeness(index) == 0.5


def test_folders_of_no_known_class_are_refused_with_the_list(tmp_path: Path) -> None:
    _png(tmp_path / "benign" / "1.png"), _png(tmp_path / "odd" / "1.png")
    with pytest.raises(UserError) as caught:
        open_source(_data(tmp_path))
    message = str(caught.value)
    assert "has the folder(s) odd" in message
    assert "benign or b or 0" in message
    assert "data.labels=PATH" in message


def test_of_many_folders_of_no_class_a_few_are_named(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"Calc-Training_P_{number:05}_LEFT_CC").mkdir()
    with pytest.raises(UserError) as caught:
        open_source(_data(tmp_path))
    assert "Calc-Training_P_00002_LEFT_CC and 297 more: expected" in str(caught.value)
    assert str(caught.value).count("Calc-Training") == 3


@pytest.mark.parametrize("made", ["another folder", "empty class"])
def test_a_folder_without_images_is_a_mistake(tmp_path: Path, made: str) -> None:
    (tmp_path / "benign").mkdir()
    if made == "another folder":
        (tmp_path / "benign").rename(tmp_path / "notes")
    with pytest.raises(UserError, match=r"has the folder\(s\) notes|no image in the class folders"):
        open_source(_data(tmp_path))
    with pytest.raises(UserError, match="does not exist"):
        open_source(_data(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"data=folder needs data\.root=PATH"):
        open_source(DataConfig(source="folder"))


def test_links_are_followed_but_not_round_and_round(tmp_path: Path) -> None:
    image = _png(tmp_path / "store" / "1.png")
    patient = tmp_path / "root" / "malignant" / "ann"
    patient.mkdir(parents=True)
    (patient / "1.png").symlink_to(image)
    (patient / "again").symlink_to(patient.parent)
    (tmp_path / "root" / "benign").symlink_to(tmp_path / "store")
    index = open_source(_data(tmp_path / "root"))
    assert [lesion.id for lesion in index.lesions] == ["benign/1.png", "malignant/ann/1.png"]


HEADER = "path,label,patient,side,view,image,split\n"


def _labels(path: Path, *rows: str, header: str = HEADER) -> str:
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return str(path)


def test_a_table_says_what_each_file_is(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name in ("a/1.png", "a/2.png", "b 3.png"):
        _png(root / name)
    labels = _labels(
        tmp_path / "labels.csv",
        "a/1.png,Malignant,ann,L,CC,ann left cc,train",
        r"a\2.png,0,ann,left,cc,ann left cc,train",
        "./b 3.png,benign without callback,bea,Right,MLO,,Test",
    )
    index = open_source(_data(root, labels=labels, unit=Unit.breast))
    one, two, three = index.lesions
    assert (one.crop, one.patient, one.pathology) == (root / "a/1.png", "ann", Pathology.MALIGNANT)
    assert (one.side, one.view, one.split) == (Side.LEFT, View.CC, Split.TRAIN)
    assert (one.image, one.breast) == ("ann left cc", "ann_LEFT")
    assert (two.crop, two.image) == (root / "a/2.png", one.image)
    assert (three.id, three.image, three.breast) == ("b 3.png", "b 3.png", "bea_RIGHT")
    assert (three.pathology, three.split) == (Pathology.BENIGN_WITHOUT_CALLBACK, Split.TEST)
    assert index.notes == ()
    # two lesions of one image differ
    assert [(each.lesion, each.kind) for each in index.ledger] == [
        ("ann left cc", DefectKind.LABEL_CONFLICT)
    ]


def test_a_missing_file_is_counted_and_a_repeated_row_is_one(
    tmp_path: Path,
) -> None:
    _png(tmp_path / "1.png")
    labels = _labels(
        tmp_path / "t.csv", "1.png,b,ann", "2.png,m,bea", "1.png,benign,ann",
        header="path,label,patient\n",
    )  # fmt: skip
    index = open_source(_data(tmp_path, labels=labels))
    assert [lesion.crop for lesion in index.lesions] == [tmp_path / "1.png", None]
    assert [(each.lesion, each.kind) for each in index.ledger] == [
        ("1.png", DefectKind.DUPLICATE_ROW),
        ("2.png", DefectKind.CROP_MISSING),
    ]
    assert completeness(index) == 0.5


@pytest.mark.parametrize(
    ("on_disk", "in_table"),
    [
        ("a/1.PNG", "a/1.png"),
        ("A/x.Jpg", "a/X.jpg"),
        ("a/1.jpg", "a/1.jpeg"),
        ("a/1.JPEG", "a/1.jpg"),
        ("a/1.dicom", "a/1.DCM"),
        ("Mu\u0308ller/1.png", "M\u00fcller/1.png"),
        ("M\u00fcller/1.png", "mu\u0308ller/1.PNG"),
    ],
)
def test_a_file_whose_name_is_written_otherwise_is_taken_and_noted(
    tmp_path: Path, on_disk: str, in_table: str
) -> None:
    _png(tmp_path / "other.png").rename(_png(tmp_path / "new.png"))
    (tmp_path / on_disk).parent.mkdir()
    (tmp_path / "new.png").rename(tmp_path / on_disk)
    labels = _labels(tmp_path / "t.csv", f"{in_table},m,ann", header="path,label,patient\n")
    index = open_source(_data(tmp_path, labels=labels))
    assert [(lesion.id, lesion.crop) for lesion in index.lesions] == [
        (in_table, tmp_path / on_disk)
    ]
    (defect,) = index.ledger
    assert (defect.lesion, defect.kind) == (in_table, DefectKind.NAME_DIFFERS)
    assert defect.detail.startswith("on disk it is ")
    # both forms of a letter look the same: the ledger shows which it is
    assert in_table not in defect.detail
    assert str(tmp_path) not in defect.detail


def test_of_several_files_of_one_name_none_is_taken(tmp_path: Path) -> None:
    _png(tmp_path / "a.PNG"), _png(tmp_path / "A.png"), _png(tmp_path / "images" / "left.png")
    labels = _labels(
        tmp_path / "t.csv", "a.png,m,ann", "images/lefd.png,b,bea", "imagse/left.png,b,bea",
        "qqq/zz.png,b,bea", f"{'x' * 300}.png,b,bea", header="path,label,patient\n",
    )  # fmt: skip
    index = open_source(_data(tmp_path, labels=labels))
    assert all(lesion.crop is None for lesion in index.lesions)
    assert [each.detail.removeprefix("no such file below the root") for each in index.ledger] == [
        "; 2 have that name but for case and form: 'A.png', 'a.PNG'",
        "; nearest: 'images/left.png'",
        "; nearest: 'images'",
        "",
        "",
    ]
    assert {each.kind for each in index.ledger} == {DefectKind.CROP_MISSING}


def test_a_file_that_another_row_names_exactly_is_that_rows(tmp_path: Path) -> None:
    image = _png(tmp_path / "a.PNG")
    labels = _labels(tmp_path / "t.csv", "a.png,m,x", "a.PNG,b,y", header="path,label,patient\n")
    index = open_source(_data(tmp_path, labels=labels))
    assert [lesion.crop for lesion in index.lesions] == [None, image]
    assert [each.kind for each in index.ledger] == [DefectKind.CROP_MISSING]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1.png,odd,ann", "row 3: label 'odd': expected benign or b"),
        ("1.png,m,", "row 3: no patient"),
        (",m,ann", "row 3: no path"),
        ("../1.png,m,ann", "row 3: path '../1.png' leaves the root"),
        ("/etc/passwd,m,ann", "leaves the root"),
        (r"C:\x.png,m,ann", "leaves the root"),
        ("0.png,b,ann", "row 3 differs from row 2 of the same file"),
        ("1.png,m,ann,up", "row 3 has 4 of 3 fields"),
    ],
)
def test_mistakes_of_a_table_are_reported_with_their_row(
    tmp_path: Path, row: str, says: str
) -> None:
    labels = _labels(tmp_path / "t.csv", "0.png,m,ann", row, header="path,label,patient\n")
    with pytest.raises(UserError) as caught:
        open_source(_data(tmp_path, labels=labels))
    assert says in str(caught.value)


def test_a_users_table_needs_patients(tmp_path: Path) -> None:
    labels = _labels(tmp_path / "t.csv", "0.png,m", header="path,label\n")
    with pytest.raises(UserError, match=r"lacks the column\(s\) 'patient'"):
        open_source(_data(tmp_path, labels=labels))


def test_regions_and_units_that_a_folder_cannot_give_are_refused(tmp_path: Path) -> None:
    image = _png(tmp_path / "benign" / "ann" / "1.png")
    whole = open_source(_data(tmp_path, region=Region.full, unit=Unit.image))
    assert (whole.lesions[0].full, whole.lesions[0].crop) == (image, None)
    assert completeness(whole, (), Region.full) == 1
    with pytest.raises(UserError, match=r"data\.region=patch needs full mammograms with masks"):
        open_source(_data(tmp_path, region=Region.patch))
    with pytest.raises(UserError, match=r"data\.unit=breast needs the side"):
        open_source(_data(tmp_path, unit=Unit.breast))


@pytest.mark.shared
def test_real_crops_in_class_folders(shared_data: Path, tmp_path: Path) -> None:
    kaggle = open_source(
        DataConfig(source="cbis_ddsm", root=str(shared_data / "cbis-ddsm" / "kaggle"))
    )
    for lesion in kaggle.lesions[:40]:
        assert lesion.crop is not None
        link = tmp_path / lesion.pathology.lower() / lesion.patient / f"{lesion.id}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(lesion.crop)
    index = open_source(_data(tmp_path))
    assert {(Path(each.id).stem, each.patient, each.pathology) for each in index.lesions} == {
        (each.id, each.patient, each.pathology) for each in kaggle.lesions[:40]
    }


def test_findings_come_from_a_column_or_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name in ("1", "2", "3"):
        _png(root / f"{name}.png")
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "path,label,patient,side,finding\n"
        "1.png,benign,ann,L,a\n2.png,benign,ann,L,a\n3.png,benign,bea,L,a\n"
    )
    index = open_source(_data(root, labels=str(labels)))
    assert [each.finding for each in index.lesions] == ["ann_LEFT_a", "ann_LEFT_a", "bea_LEFT_a"]
    labels.write_text("path,label,patient,side\n1.png,benign,ann,L\n")
    (alone,) = open_source(_data(root, labels=str(labels))).lesions
    assert alone.finding is None, "a file of a side is no finding yet"
