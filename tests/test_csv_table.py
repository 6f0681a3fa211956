from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcalc.csv_table import Sheet, read_sheet, read_table
from mcalc.errors import UserError


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,benign\nb.png,malignant\n",
        "Label,PATH,more\nbenign,a.png,1\nmalignant,b.png,2\n",
        "Label;PATH;more\nbenign;a.png;1\nmalignant;b.png;2\n",
        '"path";"label";"a, b"\na.png;benign;1,5\nb.png;malignant;\n',
        '\ufeff"path", "label"\r\n a.png ,benign\r\n\r\n,,\r\n"b.png",malignant\r\n',
    ],
)
def test_columns_are_found_whatever_their_order_and_case(tmp_path: Path, text: str) -> None:
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
        (b"image path\n", "lacks the column(s) 'path', 'label'"),
        (b"path,lable\n", "lacks the column(s) 'label' (nearest there: 'lable')"),
        (b"", "has nothing in its first row and lacks the column(s) 'path', 'label'"),
        (b"\n\npath,label\n", "has nothing in its first row"),
        (b"path,label\na.png\n", "row 2 has 1 of 2 fields"),
        (b"path,label\na.png,benign,left over\n", "row 2 has 3 of 2 fields"),
        (b'path,label\na.png,"benign\nb.png,benign\n', "row 2: a quote is opened there and never"),
        (b'path,label\n"a\n.png",b\nx,"y"z\n', "is not a CSV file (row 3 (line 4 of the file)"),
        (b'path,label\n"a\n.png",b\nx\n', "row 3 (line 4 of the file) has 1 of 2 fields"),
        (b"path,label\n" + b"a" * 200_000 + b",x\n", "field larger than field limit"),
        (b"path,label\n" + b"a," * 600_000, "ends in line 2 has more than 1,048,576 characters"),
        (
            b",".join(b"%d" % i for i in range(20_000)),
            "has 20,000 columns: expected at most 10,000",
        ),
        (b",".join(b"%d" % i for i in range(10**6)), "more than 1,048,576 characters"),
        ("path,label\na,b\n\u00e9,benign\n".encode("latin-1"), "line 3 holds the byte 0xe9"),
        ("path,label\na,b\n".encode("utf-16"), "is not UTF-8 text but UTF-16"),
        ("path,label\na,b\n".encode("utf-16-be"), "is not UTF-8 text but UTF-16"),
        ("path,label\na,b\n".encode("utf-32"), "is not UTF-8 text but UTF-32"),
        (b"path,label\na,b\0\n", "is not UTF-8 text (line 2 holds a NUL byte)"),
        (b"PK\x03\x04\x14\0", "is a spreadsheet or zip archive"),
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


@pytest.mark.parametrize(
    ("header", "places"),
    [
        ("path,label,label", "2, 3"),
        ("label,path, LABEL ", "1, 3"),
        ("\ufefflabel,path,\ufefflabel", "1, 3"),
        ("label,path,label,x,Label", "1, 3, 5"),
        ("path,label,x,label.1,Label.12", "2, 4, 5"),
    ],
)
def test_a_needed_column_that_stands_twice_is_refused(
    tmp_path: Path, header: str, places: str
) -> None:
    path = _write(tmp_path / "t.csv", f"{header}\n1,2,3,4,5\n")
    with pytest.raises(UserError) as caught:
        list(read_table(path, ("path", "label"), ("side",)))
    assert f"the column 'label' {places.count(',') + 1} times (columns {places})" in str(
        caught.value
    )


def test_columns_that_nobody_reads_may_stand_twice(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "note,path,note\n1,2,3\n")
    (row,) = read_table(path, ("path",))
    assert row.values == {"path": "2"}
    with pytest.raises(UserError, match="the column 'note' 2 times"):
        list(read_table(path, ("path",), ("note",)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path\tlabel\na\tb\n", "is separated by tabs: expected commas"),
        ("path|label\na|b\n", "is separated by vertical bars (|)"),
        ("sep=;\npath;label\na;b\n", "begins with the line 'sep=;'"),
        ('\ufeff"sep=;"\r\npath;label\r\na;b\r\n', "its separator: semicolons (;)"),
        ("sep=\t\npath\tlabel\n", "its separator: tabs"),
        ("SEP=,\npath,label\na,b\n", "its separator: ','"),
        ("sep=;,,\npath;label,,\n", "its separator: semicolons (;)"),
        ("path label\na b\n", "is separated by blanks: expected commas"),
        ("path:label\na:b\n", "is separated by colons (:)"),
        ("path\uff0clabel\na\uff0cb\n", "is separated by full-width commas"),
    ],
)
def test_another_separator_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = _write(tmp_path / "t.csv", text)
    with pytest.raises(UserError) as caught:
        list(read_table(path, ("path", "label")))
    assert says in str(caught.value)


def test_other_separators_inside_a_comma_table_do_no_harm(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "path,label,side;view\na;b\tc,x|y,1\n")
    (row,) = read_table(path, ("path", "label"), ("side", "view"))
    assert row.values == {"path": "a;b\tc", "label": "x|y", "side": "", "view": ""}


def test_a_folder_or_a_pipe_in_a_tables_place_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, not a file"):
        list(read_table(tmp_path, ("path",)))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="is a pipe, not a file"):
        list(read_table(tmp_path / "pipe.csv", ("path",)))


def test_a_table_of_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "path\n")
    with path.open("rb+") as file:
        file.truncate(2**30)
    with pytest.raises(UserError, match="has 1,024 MB: a table may have 256 MB"):
        list(read_table(path, ("path",)))


def test_many_rows_of_a_few_characters_are_read(tmp_path: Path) -> None:
    # together they are longer than one row may be
    path = _write(tmp_path / "t.csv", "path,label\n" + "aaaaaaaa,b\n" * 120_000)
    assert sum(1 for _ in read_table(path, ("path", "label"))) == 120_000


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_is_read_whole_whatever_separates_it(tmp_path: Path, separator: str) -> None:
    text = '\ufeffa,Image Path,,a\r\n1,"x\n",3,4\r\n,,,\r\n "5",b c,7,8,\r\n'.replace(
        ",", separator
    )
    sheet = read_sheet(_write(tmp_path / "t.csv", text))
    assert sheet == Sheet(
        ("a", "Image Path", "", "a"), ((2, ("1", "x", "3", "4")), (4, ("5", "b c", "7", "8")))
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has nothing in its first row: expected a header"),
        (b",,\n1,2,3\n", "has nothing in its first row"),
        (b"sep=;\na;b\n", "begins with the line 'sep=;'"),
        (b"a,b\n1\n", "row 2 has 1 of 2 fields"),
        (b"a\tb\n1\t2\t3\n", "row 2 has 3 of 2 fields"),
        (b'a,b\n1,"2\n', "row 2: a quote is opened there and never closed"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text but UTF-16"),
        (b",".join(b"%d" % i for i in range(20_000)), "has 20,000 columns: expected at most"),
    ],
)
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_sheet(path)
    assert str(error.value).startswith(str(path))
    assert says in str(error.value)


def test_a_sheet_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        read_sheet(tmp_path / "nowhere.csv")
