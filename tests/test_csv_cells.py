"""CSV files that we write run nothing in a spreadsheet, and lose nothing."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy as np
import pandas as pd
import processes
import pytest
from PIL import Image

from mcalc.config import TrackingConfig
from mcalc.csv_cells import protected, unprotected
from mcalc.csv_table import read_table, write_table
from mcalc.data.ledger import COLUMNS, write_ledger
from mcalc.data.records import Defect, DefectKind
from mcalc.report.formats import Column, Table, as_csv
from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker

FORMULAS = (
    "=1+1", "=HYPERLINK(\"http://x\")", "+1+1", "-1+1", "@SUM(1)", "-", "+", "=", "@",
    "\t=1", "\tplain", "\rplain", "\n=1", "  =1", "\u00a0=1", "\ufeff=1", "\u200b@x",
    "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "-benign/1.png", "--1", "+-1", "-1e", "-0x1f",
    "-inf", "-1,5", "-\u0661", "\x00=1",
)  # fmt: skip
WITHOUT_NUL = tuple(each for each in FORMULAS if "\0" not in each)
"""No file's name has one, and no CSV reader takes it."""
HARMLESS = (
    "", "P_00001_LEFT_CC", "Benign/ann/1.PNG", "0", "-1", "-0.25", "+0.0380", "-1e-05", "1.5E+10",
    "-.5", "a=b", "x-1", "'", "'quoted'", "''", " text ", "nan", "é", "—",
)  # fmt: skip


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_text_and_comes_back(cell: str) -> None:
    assert protected(cell) == f"'{cell}"
    assert unprotected(protected(cell)) == cell


@pytest.mark.parametrize("cell", HARMLESS)
def test_other_cells_and_numbers_stay_byte_for_byte(cell: str) -> None:
    assert protected(cell) == cell
    assert unprotected(cell) == cell


def test_no_text_is_lost() -> None:
    draw = random.Random(0)
    alphabet = "'=+-@\t\r\n 1a.e\uff1d\ufeff\u00a0"
    for _ in range(20_000):
        cell = "".join(draw.choices(alphabet, k=draw.randint(0, 6)))
        assert unprotected(protected(cell)) == cell, repr(cell)
        # twice protected, as where a cell is copied from one file to another
        assert unprotected(unprotected(protected(protected(cell)))) == cell


def runs(path: Path) -> list[str]:
    """The cells of a file that a spreadsheet would run."""
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    return [cell for cell in cells if protected(cell) != cell and not cell.startswith("'")]


def test_a_table_of_ours_reads_back_and_that_of_another_is_read_as_it_is(tmp_path: Path) -> None:
    names = [name for name in (*WITHOUT_NUL, *HARMLESS, "'=1", "a\r=1") if name[-1:].strip()]
    path = tmp_path / "t.csv"
    write_table(path, ("name", "n"), [(name, "-1") for name in names], "it", "move it")
    assert runs(path) == []
    assert [row.values["name"] for row in read_table(path, ("name",), ours=True)] == names
    path.write_text("name\n'=1\n=2\n")
    assert [row.values["name"] for row in read_table(path, ("name",))] == ["'=1", "=2"]


def test_the_ledger_runs_nothing(tmp_path: Path) -> None:
    ledger = [Defect(name, DefectKind.BAD_VALUE, name, "none") for name in WITHOUT_NUL]
    path = write_ledger(ledger, tmp_path / "ledger.csv")
    assert runs(path) == []
    assert [row.values["lesion"] for row in read_table(path, COLUMNS, ours=True)] == [*WITHOUT_NUL]


def test_a_reports_table_runs_nothing_and_keeps_its_numbers() -> None:
    columns = (Column("name", "Name", text=True), Column("difference", "Difference"))
    rows = tuple((name, "-0.0026") for name in FORMULAS)
    text = as_csv(Table("title", columns, rows))
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["name", "difference"], *([f"'{name}", "-0.0026"] for name in FORMULAS)]


def test_predictions_run_nothing_and_read_back(tmp_path: Path) -> None:
    names = (*WITHOUT_NUL, "plain", "'=1", "a\r=1")
    labels = np.array([i % 2 for i in range(len(names))], dtype=np.int64)
    written = Predictions(names, labels, np.linspace(1e-9, 1 / 3, len(names)))
    tracker = Tracker(tmp_path / "mlruns", "mcalc")
    trial = tracker.open_trial("one", "k1", {}, {}, None)
    curve = (CurvePoint(1, 0.1, 0.7, 0.5, -1 / 3, 0.5, float("nan")),)
    trial.table(written)
    trial.curve(curve)
    trial.finish({"accuracy": 0.5}, {})
    for name in ("predictions.csv", "curve.csv"):
        (file,) = (tmp_path / "mlruns").rglob(name)
        assert runs(file) == []
    (read,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    assert read.predictions.ids == names
    np.testing.assert_array_equal(read.predictions.probabilities, written.probabilities)
    assert read.curve[0].val_loss == curve[0].val_loss


def test_files_named_as_formulas_go_through_a_split_and_back(tmp_path: Path) -> None:
    """Two runs on one split, written and read, train on the same samples."""
    for label in ("benign", "malignant"):
        for number, name in enumerate(("=cmd", "@sum", "-x", "plain", "+y", "'=z")):
            path = tmp_path / "images" / label / f"p{label[0]}{number}" / f"{name}.png"
            path.parent.mkdir(parents=True)
            Image.effect_noise((40, 40), 30 + number + 9 * (label == "benign")).save(path)
    labels = tmp_path / "labels.csv"
    rows = [
        f"{path.relative_to(tmp_path / 'images')},{path.parts[-3]},{'=' if i % 2 else '-'}p{i}"
        for i, path in enumerate(sorted((tmp_path / "images").rglob("*.png")))
    ]
    labels.write_text("\n".join(["path,label,patient", *rows]) + "\n")
    given = (
        "data=folder", f"data.root={tmp_path / 'images'}", f"data.labels={labels}",
        f"data.cache={tmp_path / 'cache'}",
    )  # fmt: skip
    first, again = tmp_path / "split.csv", tmp_path / "again.csv"
    made = processes.run(
        "mcalc.data", *given, "protocol=patient", f"split_to={first}", folder=tmp_path
    )
    assert made.returncode == 0, made.stderr
    assert "'=p" in first.read_text()
    assert runs(first) == []
    read = processes.run(
        "mcalc.data", *given, f"protocol.split_file={first}", f"split_to={again}", folder=tmp_path
    )
    assert read.returncode == 0, read.stderr
    assert again.read_bytes() == first.read_bytes()
    for file in tmp_path.rglob("*.csv"):
        if file != labels:
            assert runs(file) == [], file


def test_ordinary_predictions_are_written_byte_for_byte_as_before(tmp_path: Path) -> None:
    probabilities = np.array([1e-5, 0.1 + 0.2, 1.0, 0.0, 1 / 3])
    ids = ("P_1_LEFT_CC_1", "a, b", 'say "x"', "é", "Benign/ann/1.PNG")
    labels = np.array([0, 1, 1, 0, 1], dtype=np.int64)
    tracker = Tracker(tmp_path / "mlruns", "mcalc")
    tracker.open_trial("one", "k1", {}, {}, None).table(Predictions(ids, labels, probabilities))
    frame = pd.DataFrame({"lesion": ids, "malignant": labels, "probability": probabilities})
    (file,) = (tmp_path / "mlruns").rglob("predictions.csv")
    assert file.read_text() == frame.to_csv(index=False)
