from __future__ import annotations

import csv
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded_sweeps import open_record
from scipy.stats import binomtest
from servers import WITHOUT_JOBS, served

from mcalc.report import writing
from mcalc.report.__main__ import main
from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.tracker import Tracker

# MLflow itself uses what the installed SQLAlchemy and pandas deprecate
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes"),
]

LABELS = np.array([0] * 6 + [1] * 4)
PROBABILITIES = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.35, 0.8, 0.9, 0.95])
"""4 of 6 benign and 3 of 4 malignant are called rightly: accuracy 0.7."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with one trial, AL3 of the sweep alexnet, written as training writes it."""
    folder = tmp_path_factory.mktemp("record") / "mlruns"
    record(Tracker(folder, "mcalc"))
    return folder


def record(tracker: Tracker) -> None:
    """Write the trial AL3 of the sweep alexnet."""
    parent = tracker.open_sweep("alexnet-1", "alexnet", {})
    params = {
        "backbone.name": "alexnet",
        "stopping.patience": 15,
        "head.weight_lr": 15.0,
        "head.bias_lr": 20.0,
        "head.weight_l2": 1.0,
        "data.source": "phantom",
    }
    trial = tracker.open_trial("AL3", "key", params, {"mcalc.protocol": "patient"}, parent)
    lesions = tuple(f"P_{i}" for i in range(10))
    trial.table(Predictions(lesions, LABELS, PROBABILITIES))
    trial.curve((CurvePoint(50, 0.5, 0.7, 0.5, 0.6, 0.7),))
    trial.crops({"P_0": np.full((8, 8), 90, np.uint8)})
    trial.finish({"accuracy": 0.7, "iterations": 50}, {"mcalc.warnings": '["random weights"]'})
    tracker.close_sweep(parent, {}, {}, complete=True)


def test_everything_is_printed_and_written(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "report"
    main([f"tracking.dir={recorded}", f"out={out}"])
    printed = capsys.readouterr().out
    names = ("table1", "table2", "table5", "table6", "baselines")
    expected = {f"{name}.{ending}" for name in names for ending in ("txt", "csv", "md", "tex")}
    assert {path.name for path in out.iterdir()} >= {"index.html", *expected}
    for number in (1, 2, 5, 6):
        assert printed.count(f"Table {number}. ") == 1
        assert str(out / f"table{number}") in printed
    assert printed.count("Baselines on the same split") == 1
    assert printed.count("random weights") == 1  # what tables share is printed once
    assert "9 of 10 trials not run" in printed
    with (out / "table1.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert rows["AL3"]["accuracy"] == "0.7000"
    assert rows["AL3"]["warnings"] == "random weights"
    assert rows["AL1"]["accuracy"] == ""
    assert "random weights" in (out / "table5.txt").read_text(encoding="utf-8")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "4 true negatives, 1 false negatives, 3 true positives, 2 false positives" in page
    assert "1 crop classified by AL3, 1 of them rightly" in page
    assert stat.S_IMODE((out / "index.html").stat().st_mode) & 0o444 == 0o444


def test_one_table_alone_comes_with_its_provenance(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([f"tracking.dir={recorded}", f"out={tmp_path}", "table=1"])
    printed = capsys.readouterr().out
    assert "Table 1. " in printed
    assert "Table 5. " not in printed
    assert "random weights" in printed
    assert {path.suffix for path in tmp_path.iterdir()} == {".txt", ".csv", ".md", ".tex"}


def test_the_tables_of_figures_are_the_page(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([f"tracking.dir={recorded}", f"out={tmp_path}", "table=3"])
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert str(tmp_path / "index.html") in capsys.readouterr().out


def test_a_report_is_replaced_whole(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "table1.txt").write_text("old " * 10_000)
    main([f"tracking.dir={recorded}", f"out={tmp_path}", "table=1"])
    assert "old" not in (tmp_path / "table1.txt").read_text(encoding="utf-8")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that says why the command refuses."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_an_output_that_cannot_be_written_is_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused(
        capsys, f"tracking.dir={recorded}", f"out={tmp_path / 'file'}", "table=1"
    )  # fmt: skip
    assert re.search(r"cannot write .*file.*out=PATH", line)


def test_a_figure_that_cannot_be_written_is_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "intervals.png").mkdir()
    line = refused(capsys, f"tracking.dir={recorded}", f"out={tmp_path}")
    assert f"cannot write {tmp_path / 'intervals.png'}: " in line
    assert line.endswith("name a folder you may write to with out=PATH")
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_more_of_the_papers_trials_than_a_page_takes_have_pages_of_their_own(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_INLINE", 0)
    assert main([f"tracking.dir={recorded}", f"out={tmp_path}"]) == 0
    first = tmp_path / "index.html"
    (own,) = (tmp_path / "trials").glob("*.html")
    assert f'href="trials/{own.name}"' in first.read_text(encoding="utf-8")
    assert "1 crop classified by AL3" in own.read_text(encoding="utf-8")
    for page in (first, own):
        pictures = re.findall(r'src="([^"]+)"', page.read_text(encoding="utf-8"))
        assert len(pictures) >= 2
        assert all((page.parent / each).is_file() for each in pictures)


def test_heat_maps_that_are_asked_for_of_a_record_without_networks_say_what_keeps_them(
    recorded: Path, tmp_path: Path
) -> None:
    assert main([f"tracking.dir={recorded}", f"out={tmp_path}", "heat_maps=true"]) == 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "There are no heat maps: the record has no network of this trial" in page
    assert "tracking.keep_models=all keeps it" in page


def test_a_record_without_a_trial_says_what_runs_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_record(tmp_path / "mlruns")
    line = refused(capsys, f"tracking.dir={tmp_path / 'mlruns'}", f"out={tmp_path / 'report'}")
    assert "no trial of sweep 'alexnet' or 'googlenet' is recorded under tracking.dir=" in line
    assert "run `make tables`, or `python -m mcalc.train -m sweep=alexnet,googlenet`, first" in line
    assert not (tmp_path / "report").exists()


def test_a_sweep_that_is_not_recorded_names_the_command(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, f"tracking.dir={recorded}", f"out={tmp_path}", "alexnet=mine")
    assert re.search(r"'mine' or 'googlenet'.*make tables", line)


def test_no_record_is_one_line_and_exit_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "make tables" in refused(capsys, f"tracking.dir={tmp_path / 'none'}")


def test_the_former_name_of_the_records_folder_works_with_a_note(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"dir={recorded}", f"out={tmp_path}", "table=1"]) == 0
    printed = capsys.readouterr()
    assert "Table 1. " in printed.out
    assert f"note: dir= is tracking.dir= in all commands: tracking.dir={recorded}" in printed.err


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("tabel=1", "unknown key 'tabel'.*did you mean 'table'"),
        ("--table=1", "unknown flag '--table=1'.*did you mean 'table'"),
        ("table", "table has no value: give it one, as in table=VALUE"),
        ("tabel", "'tabel' is not understood: expected key=value.*did you mean 'table'"),
        ("table=7", "table=7: expected one of 1, 2, 3, 4, 5, 6, discipline, all"),
        ("out=", "out= has no value"),
    ],
)
def test_a_wrong_argument_is_named(
    argument: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(complaint, refused(capsys, argument))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "predictions.csv: No such file"),
        (lambda file: file.write_text(file.read_text()[:60]), "ValueError"),
    ],
)
def test_a_run_whose_files_are_damaged_is_named(
    change: Callable[[Path], object],
    said: str,
    recorded: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "mlruns"
    shutil.copytree(recorded, damaged)
    (file,) = damaged.glob("artifacts/*/artifacts/predictions.csv")
    change(file)
    line = refused(capsys, f"tracking.dir={damaged}", f"out={tmp_path / 'report'}")
    assert f"the files of AL3, run {file.parts[-3]}, cannot be read ({said}" in line
    assert "mcalc.sweep check" in line


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A tracking server, as docs/parallel.md starts one: its address, and its log."""
    mlflow = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    with served(
        lambda port: [*mlflow, "--port", str(port)], tmp_path, "/health", **WITHOUT_JOBS
    ) as found:
        yield found


def test_a_server_that_cannot_be_reached_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "tracking.uri=http://user:secret@127.0.0.1:9", f"out={tmp_path}")
    assert "server http://user:***@127.0.0.1:9 cannot be reached" in line
    assert "secret" not in line


@pytest.mark.whole
def test_a_sweep_recorded_on_a_tracking_server_is_tabulated(
    server: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, _ = server
    tracker = Tracker(tmp_path / "mlruns", "mcalc", address)
    record(tracker)
    out = tmp_path / "report"
    assert main([f"tracking.uri={address}", f"out={out}", "table=1"]) == 0
    assert "0.7000" in capsys.readouterr().out
    line = refused(capsys, f"tracking.uri={address}", f"out={out}", "alexnet=mine")
    assert f"under tracking.uri={address}" in line


def test_another_prediction_table_is_compared_and_its_mistakes_are_named(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "theirs.csv"
    table.write_text("id,probability\n" + "".join(f"P_{i},0.{i}\n" for i in range(10)))
    place = [f"tracking.dir={recorded}", f"out={tmp_path / 'report'}", f"against={table}"]
    assert main(place) == 0
    assert "theirs.csv" in capsys.readouterr().out
    with (tmp_path / "report" / "differences.csv").open(newline="") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["second"] == "theirs.csv"]
    # of 24 pairs of a benign and a malignant lesion all are in order
    assert row["second_auc"] == "1.000"
    for text, complaint in (
        ("id,probability\nP_0,1.5\n", "row 2: probability '1.5' of 'P_0'"),
        ("id,probability\nP_0,0.5\nP_1,high\n", "row 3: probability 'high' of 'P_1': expected"),
        ("id,probability\nP_0,nan\n", "row 2: probability 'nan' of 'P_0': expected a number"),
        ("id,probability\nP_0,0.5\nP_0,0.5\n", "'P_0' stands twice"),
        ("id,probability\n0,0.5\n1,0.5\n", "none of its 2 ids, as '0', is that of a lesion"),
        ("id,probability\n", "no rows"),
        ("lesion,p\nP_0,0.5\n", "id"),
    ):
        table.write_text(text)
        assert complaint in refused(capsys, *place)


@pytest.mark.whole
def test_one_sweep_may_fill_the_rows_of_both_networks(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert main([f"tracking.dir={recorded}", f"out={out}", "sweep=alexnet"]) == 0
    with (out / "table1.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["accuracy"] for row in csv.DictReader(stream)].count("0.7000") == 1
    here = f"tracking.dir={recorded}"
    assert "no trial of sweep 'typo'" in refused(capsys, here, "sweep=typo")
    assert "`make audit` runs and reports such" in refused(capsys, here, "table=discipline")


@pytest.mark.whole
def test_intervals_may_be_those_of_independent_lesions(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "mlruns", "mcalc")
    parent = tracker.open_sweep("alexnet-1", "alexnet", {})
    params = {"backbone.name": "alexnet", "head.weight_lr": 15.0}
    trial = tracker.open_trial("AL3", "key", params, {"mcalc.protocol": "patient"}, parent)
    lesions, patients = tuple(f"L{i}" for i in range(10)), tuple(f"P{i // 5}" for i in range(10))
    trial.table(Predictions(lesions, LABELS, PROBABILITIES, patients))
    trial.finish({"accuracy": 0.7}, {})
    tracker.close_sweep(parent, {}, {}, complete=True)
    ends = {}
    for kind in ("clustered", "independent"):
        out = tmp_path / kind
        main([f"tracking.dir={tmp_path / 'mlruns'}", f"out={out}", f"intervals={kind}"])
        with (out / "table1.csv").open(newline="", encoding="utf-8") as stream:
            row = next(row for row in csv.DictReader(stream) if row["name"] == "AL3")
        ends[kind] = float(row["accuracy_low"]), float(row["accuracy_high"])
        page = (out / "index.html").read_text(encoding="utf-8")
        assert ("clustered by patient, as" in page) == (kind == "clustered")
    assert ends["independent"] == pytest.approx(
        tuple(binomtest(7, 10).proportion_ci(method="wilson")), abs=1e-6
    )
    assert ends["clustered"][0] < ends["independent"][0]
