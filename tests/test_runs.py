"""`mcalc.runs`: the record in a notebook, as docs/predict.md shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_record import record

from mcalc import runs
from mcalc.errors import UserError
from mcalc.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[1]


def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom mcalc import runs\n"
        "print(*({'torch', 'mlflow', 'pandas', 'numpy', 'optuna', 'hydra'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_the_table_and_the_predictions_of_a_record(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, "mcalc")
    first, second = record(tracker, "AL1", "k1"), record(tracker, "AL2", "k2")
    tracker.supersede(first, record(tracker, "AL1", "k1"))
    table = runs.table(str(tmp_path))
    assert set(table.name) == {"AL1", "AL2"}
    assert first not in set(table.run_id), "a later run replaced it"
    row = table.set_index("run_id").loc[second]
    assert row["head.weight_lr"] == 10
    assert row["accuracy"] == pytest.approx(2 / 3)
    said = runs.predictions("AL2", str(tmp_path))
    assert list(said.columns) == ["lesion", "patient", "malignant", "probability", "log_odds"]
    assert list(said.malignant) == [0, 1, 1]
    assert said.probability[1] == 1 / 3


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is recorded"):
        runs.table(str(tmp_path / "none"))
    record(Tracker(tmp_path, "mcalc"), "AL1", "k1")
    with pytest.raises(UserError, match="no trial this name"):
        runs.predictions("AL9", str(tmp_path))
    with pytest.raises(UserError, match="5 is not the folder of a record"):
        runs.table(5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="3 names no trial"):
        runs.predictions(3, tmp_path)  # type: ignore[arg-type]
    assert len(runs.table(tmp_path)) == 1, "a path is as good as its text"


def test_a_network_leaves_nothing_among_the_temporary_files(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("temporary", "cache", "record")}
    for each in places.values():
        each.mkdir()
    record(Tracker(places["record"], "mcalc"), "AL1", "k1")
    program = (
        "from mcalc import runs\nfrom mcalc.errors import UserError\n"
        f"try:\n    runs.network('AL1', {str(places['record'])!r})\n"
        "except UserError:\n    import torch._inductor.config\n    print('no network')"
    )
    kept = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    environment = {
        **kept, "TMPDIR": str(places["temporary"]), "XDG_CACHE_HOME": str(places["cache"])
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip
    assert done.stdout == "no network\n"
    assert list(places["temporary"].iterdir()) == []
