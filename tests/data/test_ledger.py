from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mcalc.data.ledger import count_by_kind, write_ledger
from mcalc.data.records import Defect, DefectKind
from mcalc.errors import UserError

LEDGER = [
    Defect("a_1", DefectKind.CROP_MISSING, 'no "file", none', "kept"),
    Defect("b_1", DefectKind.SWAPPED, "two\nlines", "corrected"),
    Defect("c_1", DefectKind.CROP_MISSING, "é", "kept"),
]


def test_a_ledger_is_read_back_as_written(tmp_path: Path) -> None:
    path = write_ledger(LEDGER, tmp_path / "new" / "ledger.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["lesion", "kind", "detail", "action"]
    assert rows[1:] == [[d.lesion, d.kind.value, d.detail, d.action] for d in LEDGER]


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(LEDGER, path)
    write_ledger([], path)
    assert path.read_text() == "lesion,kind,detail,action\n"
    assert list(tmp_path.iterdir()) == [path]


def test_colleagues_may_read_it(tmp_path: Path) -> None:
    assert write_ledger(LEDGER, tmp_path / "ledger.csv").stat().st_mode & 0o777 == 0o644


def test_a_ledger_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_ledger(LEDGER, tmp_path / "ledger.csv")
    before = path.read_bytes()

    def broken() -> object:
        yield LEDGER[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_ledger(broken(), path)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_the_remedy_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"ledger.*cannot be written.*data\.cache=PATH"):
        write_ledger(LEDGER, tmp_path / "file" / "ledger.csv")
    (tmp_path / "ledger.csv").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_ledger(LEDGER, tmp_path / "ledger.csv")


def test_kinds_are_counted_in_the_order_of_their_declaration() -> None:
    assert list(count_by_kind(reversed(LEDGER)).items()) == [
        (DefectKind.CROP_MISSING, 2),
        (DefectKind.SWAPPED, 1),
    ]
    assert count_by_kind([]) == {}
