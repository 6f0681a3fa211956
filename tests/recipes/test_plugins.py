"""A backbone, a source and a metric of an installed package, used without a copy of mcalc."""

from __future__ import annotations

import csv
import os
import sqlite3
from pathlib import Path

import processes
import pytest
from stores import begin_with_tables

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = """
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from mcalc.data.records import Index, Lesion, Pathology
from mcalc.data.sources.registry import Source
from mcalc.evaluation.scores import Metric
from mcalc.models.backbone import Backbone, InputContract


def build():
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1000)
    )


def replace_head(model, classes):
    model[3] = nn.Linear(4, classes)
    return model[3]


GREY = (127.5, 127.5, 127.5)
MYNET = Backbone("mynet", build, replace_head, InputContract(32, 5, GREY, GREY), (r"0\\.", r"3\\."))


def read(settings, progress=None):
    root = Path(settings.root)
    lesions = []
    for number, file in enumerate(sorted(root.glob("*.png"))):
        lesions.append(Lesion(
            id=file.stem, patient=f"P{number // 2}",
            pathology=Pathology.MALIGNANT if "m" in file.stem else Pathology.BENIGN,
            crop=file,
        ))
    return Index(root, "images of my clinic", tuple(lesions))


MYCLINIC = Source("myclinic", "the images of my clinic", read)

YOUDEN = Metric(
    "youden", "Youden J",
    lambda labels, p: float((p[labels == 1] > 0.5).mean() + (p[labels == 0] <= 0.5).mean() - 1),
)
"""
ENTRY_POINTS = """
[mcalc.backbones]
mynet = mypackage:MYNET
broken = mypackage:NOTHING

[mcalc.sources]
myclinic = mypackage:MYCLINIC

[mcalc.metrics]
youden = mypackage:YOUDEN
"""
TRAIN = (
    "backbone=mynet",
    "backbone.weights=none",
    "data=myclinic",
    "metrics=[youden]",
    "trainer.batch_size=4",
    "trainer.max_iterations=2",
    "trainer.threads=1",
)


def install(site: Path, version: str) -> None:
    """What pip leaves of a package: its module, and the metadata with its entry points."""
    (site / "mypackage.py").write_text(PACKAGE)
    for old in site.glob("mypackage-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = site / f"mypackage-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mypackage\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A user's folder: images, a conf folder, and a site folder with the installed package."""
    import cv2
    import numpy as np

    images = tmp_path / "images"
    images.mkdir()
    for number in range(24):
        kind = "mb"[number % 2]
        picture = np.random.default_rng(number).integers(0, 256, (40, 40), dtype=np.uint8)
        cv2.imwrite(str(images / f"{number:02d}{kind}.png"), picture)
    for group, content in (
        ("backbone/mynet", "name: mynet"),
        ("data/myclinic", "source: myclinic\nroot: images"),
    ):
        file = tmp_path / "conf" / f"{group}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "site").mkdir()
    install(tmp_path / "site", "1.2")
    return tmp_path


def run(folder: Path, module: str, *arguments: str, status: int = 0) -> str:
    begin_with_tables(folder / "mlruns")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder / 'site'}"}
    done = processes.run(f"mcalc.{module}", *arguments, folder=folder, environment=environment)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def tags(folder: Path, name: str) -> list[str]:
    """Values of a tag of the trials' runs."""
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        rows = database.execute("SELECT value FROM tags WHERE key = ?", (name,)).fetchall()
    database.close()
    return [str(value) for (value,) in rows]


@pytest.mark.whole
def test_a_packages_parts_are_used_recorded_and_part_of_the_key(work: Path) -> None:
    assert "24" in run(work, "data", "data=myclinic")
    printed = run(work, "train", *TRAIN)
    assert "images of my clinic: 24 lesions of 12 patients" in printed
    assert '"mypackage": "1.2"' in tags(work, "mcalc.versions")[0]
    assert "finished already" in run(work, "train", *TRAIN), "the key is the same"
    with sqlite3.connect(work / "mlruns" / "mlflow.db") as database:
        assert database.execute("SELECT 1 FROM metrics WHERE key = 'result/youden'").fetchone()
    database.close()
    install(work / "site", "1.3")
    assert "finished already" not in run(work, "train", *TRAIN), "another version, another trial"
    assert len(set(tags(work, "mcalc.key"))) == 2


@pytest.mark.whole
def test_a_sweep_and_its_report_use_them(work: Path) -> None:
    run(work, "train", "-m", *TRAIN, "name=alexnet", "head.weight_lr=1,10")
    printed = run(work, "report")
    assert "Further scores of the reported set" in printed
    with (work / "report" / "scores.csv").open(newline="") as file:
        scores = {row["name"]: float(row["youden"]) for row in csv.DictReader(file)}
    assert scores.keys() == {"head.weight_lr=1", "head.weight_lr=10"}
    assert all(-1 <= value <= 1 for value in scores.values())
    page = (work / "report" / "index.html").read_text()
    assert 'id="scores"' in page
    assert "Youden<br>J" in page


@pytest.mark.whole
def test_a_trial_that_uses_them_is_run_again_and_another_version_is_named(work: Path) -> None:
    run(work, "train", *TRAIN, "name=mine")
    assert "all numbers are equal" in run(work, "train", "from_run=mine")
    with sqlite3.connect(work / "mlruns" / "mlflow.db") as database:
        (value,) = database.execute(
            "SELECT value FROM latest_metrics WHERE key = 'result/youden'"
        ).fetchall()[0]
        database.execute("UPDATE latest_metrics SET value = value + 1 WHERE key = 'result/youden'")
    database.close()
    assert f"youden: {value + 1!r} then, {value!r} now" in run(
        work, "train", "from_run=mine", status=1
    )
    install(work / "site", "1.3")
    message = run(work, "train", "from_run=mine", status=2)
    assert "plug-in package mypackage was 1.2, here it is 1.3" in message
    (work / "site").rename(work / "gone")
    message = run(work, "train", "from_run=mine", status=2)
    assert "plug-in package mypackage was 1.2, here it is not installed" in message


@pytest.mark.whole
def test_a_package_that_is_not_as_it_should_be_is_named(work: Path) -> None:
    arguments = ("backbone.name=broken", "data.phantom.lesions=32", "backbone.weights=none")
    printed = run(work, "train", *arguments, status=2)
    assert "mypackage 1.2 cannot be loaded" in printed
    assert "Traceback" not in printed
    missed = "data=myclinic needs data.root=PATH: the images of my clinic."
    for command in ("data", "train"):
        assert missed in run(work, command, "data.source=myclinic", status=2)
    assert "did you mean 'mynet'" in run(
        work, "train", "backbone.name=mynett", "data.phantom.lesions=32", status=2
    )
