"""Patients whose ids differ only in how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mcalc.config import DataConfig
from mcalc.data.records import Defect, DefectKind, Index
from mcalc.data.sources.alike_patients import alike
from mcalc.data.sources.registry import open_source


@pytest.mark.parametrize(
    "names",
    [
        ("P_00001", "p-1", "P 00001", "P1", "p.0001", "P_00001.0"),
        ("1", "01", "1.0", "001.00"),
        ("ann", "Ann", "A-N-N", " ann"),
        ("M\u00fcller", "Mu\u0308ller", "M\u00dcLLER"),
        ("\uff30\uff11", "P1", "P\u00a01", "P1\u200b"),
        ("D1-0001", "D1_1", "d1 01"),
        ("2020-0001", "20200001", "2020.1"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_ids_that_are_one_but_for_their_writing(names: tuple[str, ...]) -> None:
    assert alike(["other", *names, "another"]) == [list(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("1", "10", "100"), ("P_00001", "P_00010", "P_00011"), ("1-11", "11-1"),
        ("D1-0011", "D11-001"), ("ann", "anna"), ("1.5", "1.50"), ("---", "...", "_"),
        ("a1", "1a"), ("0", "10"),
    ],
)  # fmt: skip
def test_ids_of_different_patients(names: tuple[str, ...]) -> None:
    assert alike(names) == []


def test_the_published_form_has_no_equal_ids() -> None:
    assert alike(f"P_{i:05d}" for i in range(2000)) == []
    assert alike(f"D{part}-{i:04d}" for part in (1, 2) for i in range(2000)) == []


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return path


def _alike(index: Index) -> list[Defect]:
    return [each for each in index.ledger if each.kind is DefectKind.PATIENTS_ALIKE]


def test_patients_of_class_folders_are_compared(tmp_path: Path) -> None:
    for name in ("benign/P_00001/1.png", "malignant/p-1/1.png", "malignant/p-1/2.png"):
        _file(tmp_path / name)
    # without a patient's folder names are those of files
    for name in ("benign/1.png", "benign/01.png"):
        _file(tmp_path / name)
    index = open_source(DataConfig(source="folder", root=str(tmp_path)))
    (row,) = _alike(index)
    assert row.detail.startswith("'P_00001' (1 lesion) and 'p-1' (2 lesions)")
    assert row.action == "not merged: each counts as a separate patient"
    assert {"P_00001", "p-1"} <= {lesion.patient for lesion in index.lesions}
    assert any(note.startswith("PATIENTS' IDS NEARLY EQUAL: 1 group (") for note in index.notes)


def test_two_unicode_forms_are_told_apart_in_the_ledger(tmp_path: Path) -> None:
    for name in ("benign/M\u00fcller/1.png", "malignant/Mu\u0308ller/1.png"):
        _file(tmp_path / name)
    (row,) = _alike(open_source(DataConfig(source="folder", root=str(tmp_path))))
    assert r"'M\xfcller'" in row.detail
    assert r"'Mu\u0308ller'" in row.detail


def test_patients_of_a_table_are_compared(tmp_path: Path) -> None:
    rows = [(_file(tmp_path / f"{i}.png").name, name) for i, name in enumerate(("1", "01", "10"))]
    labels = tmp_path / "labels.csv"
    lines = ["path,label,patient", *(f"{name},benign,{patient}" for name, patient in rows)]
    labels.write_text("\n".join(lines) + "\n")
    index = open_source(DataConfig(source="folder", root=str(tmp_path), labels=str(labels)))
    (row,) = _alike(index)
    assert "'1' (1 lesion) and '01' (1 lesion) differ only" in row.detail


@pytest.mark.whole
def test_phantoms_have_none(tmp_path: Path) -> None:
    assert _alike(open_source(DataConfig(cache=str(tmp_path)))) == []
