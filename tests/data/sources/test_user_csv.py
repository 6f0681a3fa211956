from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.data.sources.user_csv import read_table
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
    assert [row for _, row in rows] == [
        {"path": "a.png", "label": "benign", "side": ""},
        {"path": "b.png", "label": "malignant", "side": ""},
    ]
    # as a spreadsheet counts, blank rows included
    assert [number for number, _ in rows] == ([2, 5] if "\r" in text else [2, 3])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"path,lable\n", "lacks the column(s) 'label' (nearest there: 'lable')"),
        (b"", "lacks the column(s) 'path', 'label'"),
        (b"path,label\na.png\n", "row 2 has 1 fields: expected 2"),
        (b"path,label\na.png,benign,left over\n", "row 2 has 3 fields: expected 2"),
        (b'path,label\na.png,"benign\n', "is not a CSV file"),
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
