from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mcalc.config import DataConfig, Region, Unit
from mcalc.data.completeness import completeness
from mcalc.data.records import DefectKind, Pathology, Side, View
from mcalc.data.sources.registry import open_source
from mcalc.errors import UserError

HEADER = "ID1,LeftRight,Age,number,abnormality,classification,subtype"
CODES = {"CC": "399162004", "MLO": "399368009", "XCCL": "399265009"}


class Download:
    """A tree as the NBIA client writes it, with DICOM tags as CMMD's files have them."""

    def __init__(self, root: Path, dicom: Callable[..., Path], grey: Any) -> None:
        self.root, self._dicom, self._grey = root, dicom, grey
        self.rows: list[str] = []

    def image(self, patient: str, side: str | None, view: str, number: int, **tags: Any) -> Path:
        if view in CODES:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator = CODES[view], "SCT"
            tags.setdefault("ViewCodeSequence", Sequence([item]))
        if side is not None:
            tags["ImageLaterality"] = side
        series = f"manifest-1616439774456/CMMD/{patient}/07-18-2010-NA-NA-79377/1.000000-NA-70244"
        path = self.root / series / f"1-{number}.dcm"
        return self._dicom(path, self._grey(12, 10), **tags)

    def breast(self, patient: str, side: str, *rest: str) -> None:
        self.rows.append(",".join((patient, side, "44", *rest)))

    def table(self, name: str = "CMMD_clinicaldata_revision.csv", separator: str = ",") -> Path:
        path = self.root / name
        path.write_text("\n".join([HEADER, *self.rows]).replace(",", separator) + "\n")
        return path

    def open(self, **settings: Any) -> Any:
        return open_source(
            DataConfig(
                **{"source": "cmmd", "root": str(self.root), "region": Region.full,
                   "unit": Unit.breast, **settings}
            )
        )  # fmt: skip


@pytest.fixture
def download(tmp_path: Path, dicom: Callable[..., Path], grey: Any) -> Download:
    (tmp_path / "cmmd").mkdir()
    return Download(tmp_path / "cmmd", dicom, grey)


@pytest.mark.parametrize("separator", [",", ";"])
def test_images_of_breasts_with_calcification_are_found_by_their_tags(
    download: Download, separator: str
) -> None:
    # four images of two breasts, in an order that tells nothing
    shown = [("R", "MLO"), ("L", "CC"), ("R", "CC"), ("L", "MLO")]
    files = {each: download.image("D1-0001", *each, number) for number, each in enumerate(shown, 1)}
    two = download.image("D2-0002", "L", "CC", 1)
    download.image("D1-0003", "R", "CC", 1)
    download.breast("D1-0001", "R", "2", "calcification", "Benign", "")
    download.breast("D1-0001", "L", "2", "both", "Malignant", "Luminal A")
    download.breast("D2-0002", "L", "1", "calcification", "Malignant", "HER2-enriched")
    download.breast("D1-0003", "R", "1", "mass", "Malignant", "")
    download.table(separator=separator)
    index = download.open()
    assert {
        each.id: (each.full, each.patient, each.side, each.view, each.label)
        for each in index.lesions
    } == {
        "CMMD_D1-0001_RIGHT_MLO_1": (files["R", "MLO"], "D1-0001", Side.RIGHT, View.MLO, 0),
        "CMMD_D1-0001_RIGHT_CC_1": (files["R", "CC"], "D1-0001", Side.RIGHT, View.CC, 0),
        "CMMD_D1-0001_LEFT_CC_1": (files["L", "CC"], "D1-0001", Side.LEFT, View.CC, 1),
        "CMMD_D1-0001_LEFT_MLO_1": (files["L", "MLO"], "D1-0001", Side.LEFT, View.MLO, 1),
        "CMMD_D2-0002_LEFT_CC_1": (two, "D2-0002", Side.LEFT, View.CC, 1),
    }
    assert all(each.crop is each.mask is each.split is None for each in index.lesions)
    assert len({each.image for each in index.lesions}) == 5
    assert len({each.breast for each in index.lesions}) == 3
    # the mass is excluded, and not in silence
    assert [(each.lesion, each.kind) for each in index.ledger] == [
        ("CMMD_D1-0003_RIGHT", DefectKind.EXCLUDED)
    ]
    assert "1 of 3 breasts with calcification have a mass too" in index.notes[0]
    assert completeness(index, (), Region.full) == 1


def test_older_tags_and_other_views(download: Download) -> None:
    download.image("D1-0001", None, "", 1, Laterality="L", ViewPosition="CC")
    rt = Dataset()
    rt.CodeValue = "R-10226"
    download.image("D1-0001", "L", "", 2, ViewCodeSequence=Sequence([rt]))
    download.image("D1-0001", "L", "XCCL", 3)
    download.image("D1-0001", "L", "CC", 4)
    download.breast("D1-0001", "L", "4", "calcification", "Benign", "")
    download.table()
    assert [
        (each.id.removeprefix("CMMD_D1-0001_"), each.view) for each in download.open().lesions
    ] == [
        ("LEFT_CC_1", View.CC),
        ("LEFT_MLO_1", View.MLO),
        ("LEFT_OTHER_1", None),
        # another mammogram, not another lesion on the first
        ("LEFT_CC_2", View.CC),
    ]


def test_what_is_not_there_or_not_usable_is_counted(
    download: Download, person: tuple[str, ...]
) -> None:
    download.image("D1-0001", "L", "CC", 1)
    unknown = download.image("D1-0001", None, "MLO", 2)
    damaged = download.image("D1-0001", "L", "MLO", 3)
    damaged.write_bytes(b"not an image")
    download.breast("D1-0001", "L", "2", "calcification", "Benign", "")
    download.breast("D1-0002", "R", "2", "calcification", "Malignant", "")
    download.breast("D1-0003", "R", "2", "calcification", "unsure", "")
    download.breast("D1-0001", "L", "2", "calcification", "Malignant", "")
    download.table()
    index = download.open()
    assert [(each.id, each.full is None) for each in index.lesions] == [
        ("CMMD_D1-0001_LEFT_CC_1", False),
        ("CMMD_D1-0002_RIGHT", True),
    ]
    assert index.lesions[0].pathology is Pathology.BENIGN
    assert [(each.lesion, each.kind) for each in index.ledger] == [
        ("CMMD_clinicaldata_revision.csv row 4", DefectKind.BAD_VALUE),
        ("CMMD_D1-0001_LEFT", DefectKind.DUPLICATE_ROW),
        (unknown.relative_to(download.root).as_posix(), DefectKind.BAD_VALUE),
        (damaged.relative_to(download.root).as_posix(), DefectKind.FULL_UNREADABLE),
        ("CMMD_D1-0001_LEFT", DefectKind.COUNT_DIFFERS),
        ("CMMD_D1-0002_RIGHT", DefectKind.FULL_MISSING),
    ]
    # one of: itself, a breast without files, a row, two images
    assert completeness(index, (), Region.full) == 0.2
    assert not [text for text in person if text in repr(index)]


def test_only_named_tags_are_loaded(download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    download.image("D1-0001", "L", "CC", 1)
    download.breast("D1-0001", "L", "1", "calcification", "Benign", "")
    download.table()
    loaded: set[str] = set()
    real = pydicom.dcmread

    def watched(*arguments: Any, **options: Any) -> Dataset:
        dataset = real(*arguments, **options)
        loaded.update(element.keyword for element in dataset)
        return dataset

    monkeypatch.setattr(pydicom, "dcmread", watched)
    download.open()
    assert loaded == {"ImageLaterality", "ViewCodeSequence"}


@pytest.mark.parametrize("region", [Region.crop, Region.patch])
def test_regions_that_need_a_lesion_s_place_are_refused(download: Download, region: Region) -> None:
    with pytest.raises(UserError, match=r"take data\.region=full with data\.unit=breast"):
        download.open(region=region)


def test_the_table_as_published_has_to_be_saved_as_csv(download: Download) -> None:
    (download.root / "CMMD").mkdir()
    with pytest.raises(UserError, match=r"no clinical table CMMD_clinicaldata_revision\.csv"):
        download.open()
    (download.root / "CMMD_clinicaldata_revision.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"is a spreadsheet, which is not read: .* save it as CSV"):
        download.open()


def test_a_table_elsewhere_and_a_root_at_any_level(download: Download, tmp_path: Path) -> None:
    file = download.image("D1-0001", "L", "CC", 1)
    download.breast("D1-0001", "L", "1", "calcification", "Benign", "")
    table = download.table("cmmd_clinicaldata_revision (1).CSV")
    (tmp_path / "tables").mkdir()
    table.rename(tmp_path / "tables" / table.name)
    manifest = download.root / "manifest-1616439774456"
    for root in (download.root, manifest, manifest / "CMMD"):
        index = download.open(root=str(root), csv_dir=str(tmp_path / "tables"))
        assert [each.full for each in index.lesions] == [file]


@pytest.mark.parametrize(
    ("rows", "made", "says"),
    [
        (
            [("D1-0001", "L", "1", "calcification", "Benign", "")],
            False,
            "no patient folder of CMMD",
        ),
        ([("D1-0001", "L", "1", "mass", "Benign", "")], True, "no breast with calcification"),
    ],
)
def test_nothing_to_index_is_a_mistake(
    download: Download, rows: list[tuple[str, ...]], made: bool, says: str
) -> None:
    if made:
        download.image("D1-0001", "L", "CC", 1)
    for row in rows:
        download.breast(*row)
    download.table()
    with pytest.raises(UserError, match=says):
        download.open()
    with pytest.raises(UserError, match="does not exist"):
        download.open(root=str(download.root / "gone"))


def test_patients_whose_ids_are_nearly_equal_are_noted(download: Download) -> None:
    download.image("D1-0001", "R", "CC", 1)
    download.breast("D1-0001", "R", "1", "calcification", "Benign", "")
    download.breast("d1-1", "L", "1", "calcification", "Benign", "")
    download.table()
    kinds = {each.kind: each.detail for each in download.open().ledger}
    assert "'D1-0001' (1 lesion) and 'd1-1'" in kinds[DefectKind.PATIENTS_ALIKE]


def test_findings_come_from_a_column_of_the_clinical_table(download: Download) -> None:
    for view in ("CC", "MLO"):
        download.image("D1-0001", "L", view, 1 if view == "CC" else 2)
    download.breast("D1-0001", "L", "2", "calcification", "Malignant", "")
    table = download.table()
    assert {each.finding for each in download.open().lesions} == {None}
    header, row = table.read_text().splitlines()
    table.write_text(f"{header},finding\n{row},7\n")
    assert {each.finding for each in download.open(unit=Unit.finding).lesions} == {"D1-0001_LEFT_7"}
