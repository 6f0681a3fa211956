from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.csv_table import read_table
from mcalc.errors import UserError


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,benign\nb.png,malignant\n",
        "Label;PATH;more\nbenign;a.png;1\nmalignant;b.png;2\n",
        '\ufeff"path", "label"\r\n a.png ,benign\r\n\r\n,,\r\n"b.png",malignant\r\n',
    ],
)
def test_columns_are_found_whatever_their_order_case_and_separator(
    tmp_path: Path, text: str
) -> None:
    rows = list(read_table(_write(tmp_path / "t.csv", text), ("path", "label"), ("side",)))
    assert [row.values for row in rows] == [
        {"path": "a.png", "label": "benign", "side": ""},
        {"path": "b.png", "label": "malignant", "side": ""},
    ]
    # as a spreadsheet counts, blank rows included
    assert [row.number for row in rows] == ([2, 5] if "\r" in text else [2, 3])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"path,lable\n", "lacks the column(s) 'label' (nearest there: 'lable')"),
        (b"", "lacks the column(s) 'path', 'label'"),
        (b"path,label\na.png\n", "row 2 has 1 of 2 fields"),
        (b"path,label\na.png,benign,left over\n", "row 2 has 3 of 2 fields"),
        (b'path,label\na.png,"benign\n', "is not a CSV file"),
        (b"path,label\n" + b"a" * 200_000 + b",x\n", "field larger than field limit"),
        ("path,label\n\u00e9,benign\n".encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_remedy(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_table(path, ("path", "label")))
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(read_table(tmp_path / "none.csv", ("path",)))


def test_blanks_and_underscores_in_a_column_are_one(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "Breast_Density,calc  type\n3,COARSE\n")
    (row,) = read_table(path, ("breast density", "calc type"))
    assert row.values == {"breast density": "3", "calc type": "COARSE"}


def test_rows_that_do_not_fit_are_kept_on_request(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "a,b\n1\n1,2,3\n1,2,\n")
    rows = list(read_table(path, ("a", "b"), keep_misfits=True))
    assert [row.misfit for row in rows] == ["1 of 2 fields", "3 of 2 fields", ""]
    assert [row.values["b"] for row in rows] == ["", "2", "2"]


def test_a_line_end_inside_quotes_is_part_of_the_field(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", 'a,b\n"x\n",1\ny,2\n')
    rows = list(read_table(path, ("a", "b")))
    assert [(row.number, row.values["a"]) for row in rows] == [(2, "x"), (3, "y")]


def test_the_remedy_is_the_callers(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", 'a,b\n"x', "utf-8")
    with pytest.raises(UserError, match="download it again"):
        list(read_table(path, ("a",), remedy="download it again"))
