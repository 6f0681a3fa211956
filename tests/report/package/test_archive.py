"""`python -m mcalc.report package=FILE.zip`: checked elsewhere, with numpy and scipy alone."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import processes
import pytest
import scipy
import yaml
from trained_record import train

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("package")]

COUNTS = {"alexnet": 10, "own": 2, "seeds": 4}
"""Sweeps and their trials."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's ten heads, two heads, and two heads with two seeds on splits of their own."""
    folder = tmp_path_factory.mktemp("package")
    frozen = "backbone.freeze=all"
    heads = ("backbone=squeezenet", frozen, "head.weight_lr=1,20")
    train(folder, "sweep=alexnet", frozen)
    train(folder, *heads, "name=own")
    train(folder, *heads, "seed=0,1", "protocol.seed=null", "name=seeds")
    for sweep in COUNTS:
        done = processes.run(
            "mcalc.report", f"sweep={sweep}", f"package={sweep}.zip", folder=folder
        )
        assert done.returncode == 0, done.stderr
        assert re.search(rf"wrote {sweep}\.zip: \d+ files", done.stdout)
    return folder


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder of packages with numpy and scipy, and nothing else."""
    site = tmp_path / "site"
    site.mkdir()
    for library in (numpy, scipy):
        package = Path(library.__file__).parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                (site / part.name).symlink_to(part)
    return site


def unpacked(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(target)
    return target


def checked(place: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """The script as a stranger runs it: no site-packages but numpy and scipy."""
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-S", "recompute.py"],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("sweep", COUNTS)
def test_the_script_finds_every_number_again(
    folder: Path, alone: Path, tmp_path: Path, sweep: str
) -> None:
    done = checked(unpacked(folder / f"{sweep}.zip", tmp_path / "x"), alone)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) numbers of (\d+) trials agree, 0 do not$", done.stdout, re.M)
    assert found
    assert int(found[1]) > 100
    assert int(found[2]) == COUNTS[sweep]


def test_it_finds_a_number_that_was_changed(folder: Path, alone: Path, tmp_path: Path) -> None:
    place = unpacked(folder / "alexnet.zip", tmp_path / "x")
    for name, column in (
        ("table1", "accuracy"), ("table1", "auc_low"), ("table6", "specificity_high"),
        ("table5", "fp"), ("choosing", "threshold"), ("differences", "low"),
        ("case_mix", "auc"), ("calibration", "brier"),
    ):  # fmt: skip
        file = place / "tables" / f"{name}.csv"
        before = file.read_text(encoding="utf-8")
        table = list(csv.DictReader(before.splitlines()))
        ours = [each for each in table if each.get("run_id", "of no run")]
        row = next(each for each in ours if re.fullmatch(r"[-+]?\d[\d.]*", each[column]))
        row[column] = str(float(row[column]) + 1)
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
        done = checked(place, alone)
        assert done.returncode == 1, (name, column, done.stdout)
        assert re.search(rf"DIFFERS {name} .*{column}", done.stdout)
        file.write_text(before, encoding="utf-8")
    assert checked(place, alone).returncode == 0


@pytest.mark.parametrize("sweep", ["own", "seeds"])
def test_a_number_is_computed_or_said_not_to_be(
    folder: Path, alone: Path, tmp_path: Path, sweep: str
) -> None:
    """All numbers are changed at once: each column of results differs, or is named."""
    place = unpacked(folder / f"{sweep}.zip", tmp_path / "x")
    columns = set()
    for file in (place / "tables").glob("*.csv"):
        table = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        for row in table:
            for column, cell in row.items():
                if (
                    re.fullmatch(r"-?\d+(\.\d+)?", cell)
                    and column != "stratum"
                    and "." not in column
                ):
                    digits = len(cell.partition(".")[2])
                    row[column] = f"{float(cell) + 1:.{digits}f}"
                    columns.add((file.stem, column))
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
    done = checked(place, alone)
    assert done.returncode == 1, done.stderr
    differing = set(re.findall(r"^DIFFERS (\w+) .*?(\w+): \S+, computed", done.stdout, re.M))
    named = {
        (table, column)
        for table, text in re.findall(
            r"^not computed here: (\w+): (.*?)(?: \(|$)", done.stdout, re.M
        )
        for column in text.split(", ")
    }
    assert columns - differing - named == set()
    assert ("scores", "auc") in differing or ("trials", "auc") in differing


def test_it_finds_a_prediction_that_was_changed(folder: Path, alone: Path, tmp_path: Path) -> None:
    place = unpacked(folder / "own.zip", tmp_path / "x")
    file = next((place / "trials").glob("*/predictions.csv"))
    header, first, *rest = file.read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    row["probability"] = "0.999" if float(row["probability"]) < 0.5 else "0.001"
    file.write_text("\n".join([header, ",".join(row.values()), *rest]))
    assert checked(place, alone).returncode == 1


def test_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    place = unpacked(folder / "own.zip", tmp_path / "x")
    assert {path.name for path in place.iterdir()} == {
        "README.md", "checklist.md", "environment.txt", "model_card.md", "recompute.py",
        "recomputing", "report", "tables", "trials", "trials.csv",
    }  # fmt: skip
    (first, _) = sorted((place / "trials").iterdir())
    assert {"predictions.csv", "validation.csv", "split.csv", "config.yaml"} <= {
        path.name for path in first.iterdir()
    }
    assert (place / "report" / "index.html").read_text().startswith("<!DOCTYPE html>")
    assert re.search(r"^torch==", (place / "environment.txt").read_text(), re.M)
    texts = [path.read_text() for path in (place / "trials").rglob("config.yaml")]
    assert all(str(folder) not in text for text in texts), "no place of this machine"
    settings = yaml.safe_load(texts[0])
    assert settings["data"]["cache"] is None
    assert settings["head"]["weight_lr"] in (1.0, 20.0)
    card = (place / "model_card.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert {each["name"] for each in header["model-index"]} == {
        "head.weight_lr=1", "head.weight_lr=20",
    }  # fmt: skip
    assert "no medical device" in card
    assert "synthetic data" in card
    lines = (place / "checklist.md").read_text().splitlines()
    assert not [line for line in lines if '{"' in line or '["' in line], "as the tags are written"
    items = [line for line in lines if re.match(r"\| \d+ \|", line)]
    assert len(items) == 44
    assert any("trainer.lr: 0.003" in line for line in items)
    assert any(line.split("|")[3].strip() == "" for line in items), "some only authors know"


def test_the_same_report_gives_the_same_archive(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.zip"
    done = processes.run("mcalc.report", "sweep=own", f"package={target}", folder=folder)
    assert done.returncode == 0
    with zipfile.ZipFile(target) as one, zipfile.ZipFile(folder / "own.zip") as other:
        assert one.namelist() == other.namelist()
        same = [name for name in one.namelist() if one.read(name) == other.read(name)]
        assert set(one.namelist()) - set(same) <= {"report/index.html"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("package=x.tar",), "ends in .zip"),
        (("package=mlruns/mlflow.db/x.zip",), "cannot write"),
        (("package=x.zip", "table=discipline"), "omit table="),
    ],
)
def test_mistakes_are_one_sentence(folder: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = processes.run("mcalc.report", "sweep=own", *arguments, folder=folder)
    assert done.returncode == 2
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("error: ")]
    assert expected in line
