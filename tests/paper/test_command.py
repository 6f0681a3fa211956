"""`python -m mcalc.paper`, as a user runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcalc.paper.__main__ import main


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_without_csvs_what_needs_none_is_printed(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= min(max(columns, 80), 120)
    said = " ".join(printed.split())
    assert "case CSVs of CBIS-DDSM were not named" in said
    assert "data.csv_dir=PATH" in said
    assert "1360 patterns leave at most 409" in said
    assert "…" not in printed
    # nothing of the data is known
    assert "0.3595" not in said
    assert "506" not in said
    assert "Ways to count" not in said


@pytest.mark.shared
@pytest.mark.parametrize("columns", [80, 120])
def test_with_the_real_csvs(
    columns: int,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([f"data.csv_dir={shared_data / 'cbis-ddsm' / 'csv'}"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    assert "…" not in printed
    said = " ".join(printed.split())
    # figures of the project's notes, computed elsewhere
    for figure in ("0.3595", "5e-07", "506 + 395", "504 + 397", "+0.061", "1.37", "2.09"):
        assert figure in said
    assert "neither is proved" in said
    assert "not named" not in said
    row = next(line for line in printed.splitlines() if re.match("before the split", line))
    assert row.split()[3:5] == ["2992", "2999"]
    # the official files have the published numbers of rows
    assert "are published" not in said
    root = main([f"data.root={shared_data / 'cbis-ddsm'}"])
    assert root == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("data.csv_dir=/nowhere", "error: /nowhere is no folder"),
        ("data.csv_dri=x", "did you mean 'data.csv_dir'?"),
        ("csvs", "'csvs' is not understood"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([argument])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_missing_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([f"data.csv_dir={tmp_path}"])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "calc_case_description_train_set.csv" in err
    assert "mass_case_description_test_set.csv" in err
