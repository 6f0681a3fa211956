"""Reports over several sweeps, and the table of protocols by itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mcalc.report.__main__ import main
from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.tracker import Tracker

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes"),
]

LABELS = np.array([0] * 6 + [1] * 4)
LESIONS = tuple(f"L{i}" for i in range(10))
PATIENTS = tuple(f"P{i // 2}" for i in range(10))
PROTOCOLS = ("paper", "patient")


def add_sweep(record: Path, name: str, *, protocols: tuple[str, ...], seeds: int) -> None:
    """Write a sweep of one row, under each protocol with each seed."""
    tracker = Tracker(record, "mcalc")
    parent = tracker.open_sweep(name, name, {})
    for protocol in protocols:
        for seed in range(seeds):
            params = {
                "backbone.name": "alexnet",
                "head.weight_lr": 15.0,
                "protocol.name": protocol,
                "seed": seed,
            }
            row = f"protocol={protocol}, seed={seed}"
            tags = {"mcalc.protocol": protocol, "mcalc.leak": "none"}
            trial = tracker.open_trial(row, f"{name} {row}", params, tags, parent)
            found = predicted(protocol, seed)
            trial.table(Predictions(LESIONS, LABELS, found, PATIENTS))
            trial.curve((CurvePoint(50, 0.5, 0.7, 0.5, 0.6, 0.7),))
            accuracy = float(((found > 0.5) == LABELS).mean())
            trial.finish({"accuracy": accuracy, "iterations": 50}, {})
    tracker.close_sweep(parent, {}, {}, complete=True)


def predicted(protocol: str, seed: int) -> np.ndarray:
    """Better where lesions of one patient may lie on both sides."""
    draw = np.random.default_rng(10 * seed + PROTOCOLS.index(protocol))
    signal = LABELS * (1.5 if protocol == "paper" else 0.5)
    return 1 / (1 + np.exp(-(signal - 0.5 + draw.normal(size=len(LABELS)))))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "mlruns"
    add_sweep(folder, "my rates", protocols=("patient",), seeds=2)
    add_sweep(folder, "my/rates", protocols=("patient",), seeds=1)
    add_sweep(folder, "audit", protocols=PROTOCOLS, seeds=3)
    return folder


def test_the_table_of_protocols_alone_is_that_of_the_sweep(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    arguments = ["table=discipline", "sweep=audit", f"tracking.dir={recorded}", f"out={out}"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    written = {f"discipline.{ending}" for ending in ("txt", "csv", "md", "tex", "png")}
    assert {path.name for path in out.iterdir()} == written
    assert f"wrote {out / 'discipline.png'}" in printed
    with (out / "discipline.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["protocol"]: row for row in csv.DictReader(stream)}
    assert list(rows) == list(PROTOCOLS)
    areas = {
        name: [roc_auc_score(LABELS, predicted(name, seed)) for seed in range(3)]
        for name in PROTOCOLS
    }
    for name in PROTOCOLS:
        assert rows[name]["runs"] == "3"
        assert rows[name]["auc"] == f"{np.mean(areas[name]):.3f}"
    step = np.mean(np.subtract(areas["patient"], areas["paper"]))
    assert rows["patient"]["auc_step"] == f"{step:+.3f}"
    assert f"{step:.3f}" in printed.replace("\N{MINUS SIGN}", "-")


def test_protocols_of_a_sweep_that_is_named_for_the_papers_rows_are_the_same_table(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "papers"
    named = ["table=discipline", "alexnet=audit", f"tracking.dir={recorded}", f"out={out}"]
    assert main(named) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"wrote {out / 'discipline.png'}" in printed
    assert "Table 1." not in printed
    assert "stops training and is reported" in printed, "what protocol=paper is cautioned with"
    apart = tmp_path / "apart"
    assert (
        main(["table=discipline", "sweep=audit", f"tracking.dir={recorded}", f"out={apart}"]) == 0
    )
    for name in ("discipline.csv", "discipline.png"):
        assert (out / name).read_bytes() == (apart / name).read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in apart.iterdir()}


def test_each_of_several_sweeps_has_a_folder_of_its_own_and_the_first_page_lists_them(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert main([f"tracking.dir={recorded}", f"out={out}", "heat_maps=false"]) == 0
    printed = capsys.readouterr().out
    first = (out / "index.html").read_text(encoding="utf-8")
    places = {}
    for name in ("my rates", "my/rates", "audit"):
        assert f">{name}</a>" in first
        (place,) = [
            page
            for page in out.glob("sweeps/*/index.html")
            if f"<title>mcalc report: Sweep {name}: " in page.read_text(encoding="utf-8")
        ]
        assert f'href="{place.relative_to(out)}"' in first
        assert str(place) in printed
        places[name] = place.parent
    # both names are one folder's on some file system, or in an address
    assert {folder.name for folder in places.values()} == {"my-rates", "my-rates-2", "audit"}
    assert (places["audit"] / "discipline.csv").is_file()
    assert not (places["my rates"] / "discipline.csv").exists()


def test_a_package_is_of_one_sweep(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"tracking.dir={recorded}", f"out={tmp_path}", f"package={tmp_path / 'x.zip'}"]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "package= takes one sweep: add sweep=NAME (recorded: " in said
    assert "audit" in said
    assert not (tmp_path / "x.zip").exists()
