"""`python -m mcalc.report package=FILE.zip`: checked elsewhere, with numpy and scipy alone."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy
import processes
import pytest
import scipy
import yaml
from small_network import SMALL_NETWORK
from trained_record import SETTINGS, train

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("package")]

COUNTS = {"alexnet": 10, "own": 2, "seeds": 4, "folds": 4, "ladder": 4}
"""Sweeps and their trials."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's ten heads, two heads, and those over seeds, folds, and protocols with seeds."""
    folder = tmp_path_factory.mktemp("package")
    frozen = "backbone.freeze=all"
    heads = (*SMALL_NETWORK, frozen, "head.weight_lr=1,20")
    train(folder, "sweep=alexnet", *SMALL_NETWORK, frozen)
    train(folder, *heads, "name=own")
    train(folder, *heads, "seed=0,1", "protocol.seed=null", "name=seeds")
    shared = [each for each in SETTINGS if not each.startswith("protocol")]
    folds = ("protocol=cv", "protocol.folds=2", "protocol.fold=0,1", "protocol.validation=0.25")
    train(folder, *heads, *folds, "name=folds", settings=shared)
    ladder = ("protocol=paper,patient", "seed=0,1", "name=ladder")
    train(folder, *SMALL_NETWORK, frozen, *ladder, settings=shared)
    for sweep in COUNTS:
        # the folds also with the other way to choose an operating point
        more = ["operating_point=sensitivity"] * (sweep == "folds")
        done = processes.run(
            "mcalc.report", f"sweep={sweep}", f"package={sweep}.zip", *more, folder=folder
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
    assert "not computed" not in done.stdout


@pytest.mark.parametrize("sweep", COUNTS)
def test_whichever_number_is_changed_it_says_so(
    folder: Path, alone: Path, tmp_path: Path, sweep: str
) -> None:
    """All cells of results are changed at once, numbers and ends of intervals: each differs."""
    place = unpacked(folder / f"{sweep}.zip", tmp_path / "x")
    changed: Counter[tuple[str, str]] = Counter()
    for file in (place / "tables").glob("*.csv"):
        table = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        for row in table:
            for column, cell in row.items():
                other = another(cell)
                if other == cell or is_described(column) or row.get("source") == "paper":
                    continue
                row[column] = other
                changed[file.stem, column] += 1
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
    done = checked(place, alone)
    assert done.returncode == 1, done.stderr
    assert changed.total() > 100
    differing = re.findall(r"^DIFFERS (\w+) .*?(\w+): [^:]+, computed", done.stdout, re.M)
    assert Counter(differing) == changed


def another(cell: str) -> str:
    """A cell of numbers with its last number some units of its last digit higher."""
    one = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"
    found = re.fullmatch(rf"((?:SD |<|'|{one}(?:–| to ))?)({one})", cell.removeprefix("'"))
    if found is None:
        return cell
    before, number = found.groups()
    digits = len(number.partition(".")[2])
    value = float(number) + max(4 * 10.0**-digits, 1e-4 * abs(float(number)))
    return f"{value:.3f}" if before == "<" else f"{before}{value:.{digits}f}"


def is_described(column: str) -> bool:
    """Whether it says what was run, or what the paper printed: nothing that is computed."""
    return (
        "." in column
        or column.endswith("_paper")
        or column in ("patience", "weight_lr", "bias_lr", "weight_l2", "stratum", "fingerprint")
        or column.endswith(("run", "run_id", "run_ids"))
    )


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
