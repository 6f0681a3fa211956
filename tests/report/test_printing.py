"""Tables on a terminal: no line is longer than it, and no number is left out."""

from __future__ import annotations

import pytest

from mcalc.report.formats import Column, Table, numbers
from mcalc.report.printing import print_notes, print_table

CELLS = tuple(f"{number}.{number:03d}" for number in range(100, 112))


def table(**names: str) -> Table:
    """Two columns of words, and a dozen of numbers, which take 113 characters by themselves."""
    columns = [Column(key, key.capitalize(), text=True) for key in names]
    columns += numbers(**{f"n{cell}": "Number of it" for cell in CELLS})
    return Table("Many numbers", tuple(columns), ((*names.values(), *CELLS),), ("A note.",))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 100, 119])
def test_a_wide_table_is_printed_in_parts(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(table(first="resnet18", second="descriptors"))
    lines = printed(capsys)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith("resnet18")]
    assert len(rows) == 2
    assert [cell for row in rows for cell in row[2:]] == list(CELLS)
    assert lines.count("Many numbers") == lines.count("* A note.") == 1


def test_names_that_fill_a_line_leave_room_for_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(table(first="a" * 50, second="b" * 50, third="c" * 50))
    lines = printed(capsys)
    assert max(map(len, lines)) <= 80
    found = " ".join(lines)
    assert all(cell in found for cell in CELLS)


def test_a_table_that_fits_is_printed_whole_and_notes_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_table(table())
    assert sum(CELLS[0] in line and CELLS[-1] in line for line in printed(capsys)) == 1
    monkeypatch.setenv("COLUMNS", "80")
    print_notes(["word " * 40], "Heading")
    heading, *notes = printed(capsys)
    assert heading == "Heading"
    assert len(notes) == 3
    assert max(map(len, notes)) <= 80
