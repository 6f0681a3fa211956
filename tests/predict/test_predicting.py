"""`python -m mcalc.predict` as a user runs it: real records, real files, other settings."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import processes
import pytest
from servers import tracking_server
from trained_record import PHANTOM, train

from mcalc import runs
from mcalc.config import UnitScore
from mcalc.evaluation import auc

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("predict")]
ONE = "run=sq/head.weight_lr=20"


def predict(folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = processes.run("mcalc.predict", *arguments, folder=folder)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def crops_of(record: Path) -> dict[str, Path]:
    """The crop files of the phantom's reported lesions, by id."""
    from mcalc.config import DataConfig, PhantomConfig
    from mcalc.data.sources import open_source

    settings = DataConfig(
        cache=str(record / ".cache"), phantom=PhantomConfig(lesions=60, difficulty=0.1)
    )
    reported = set(runs.predictions("head.weight_lr=20", str(record / "mlruns")).lesion)
    return {
        lesion.id: lesion.crop
        for lesion in open_source(settings).lesions
        if lesion.id in reported and lesion.crop
    }


def test_files_get_the_probabilities_that_the_record_has_whatever_the_settings_are_now(
    record: Path, tmp_path: Path
) -> None:
    """Other settings than the record's, of the command line and of `conf/`, count for nothing."""
    crops = crops_of(record)
    recorded = runs.predictions("head.weight_lr=20", str(record / "mlruns")).set_index("lesion")
    files = ",".join(map(str, crops.values()))
    here = f"tracking.dir={record / 'mlruns'}"
    shutil.copytree(Path(__file__).resolve().parents[2] / "conf", tmp_path / "conf")
    train = tmp_path / "conf" / "train.yaml"
    train.write_text(
        train.read_text() + "\ndata: {fit: letterbox, clahe: {enabled: false}, region: full}\n"
    )
    changed = ("data.fit=letterbox", "data.clahe.clip_limit=9", "backbone=alexnet")
    for said in (
        predict(record, ONE, f"input={files}"),
        predict(record, ONE, f"input={files}", here, *changed),
    ):
        found = rows(said.stdout)
        assert len(found) == len(recorded)
        for (lesion, path), row in zip(crops.items(), found, strict=True):
            assert row["id"] == str(path)
            assert float(row["probability"]) == pytest.approx(
                recorded.probability[lesion], abs=1e-12
            )
            assert row["refused"] == ""
        assert "no medical device" in said.stderr


def test_a_labelled_data_set_is_scored_with_the_figures_of_the_report(
    record: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "all.jsonl"
    said = predict(record, ONE, "data=phantom", *PHANTOM, f"to={out}")
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(found) == 60
    labels = np.array([int(row["label"] == "malignant") for row in found])
    area = auc(labels, np.array([row["probability"] for row in found]))
    assert f"AUC       {area:.4f}" in said.stderr
    for part in ("Scores on these lesions", "Choice and operating point", "Case mix", "Brier"):
        assert part in said.stderr
    assert "were trained on, and" in said.stderr, (
        "a figure on its own training lesions is called so"
    )
    other = predict(record, ONE, "data=phantom", "data.phantom.lesions=40", "data.phantom.seed=9")
    assert len(rows(other.stdout)) == 40


def test_own_images_with_labels(record: Path, tmp_path: Path) -> None:
    crops = list(crops_of(record).items())[:8]
    images = tmp_path / "images"
    images.mkdir()
    lines = ["path,label,patient"]
    for place, (_, path) in enumerate(crops):
        shutil.copy(path, images / f"{place}.dcm")
        lines.append(f"{place}.dcm,{'malignant' if place % 2 else 'benign'},p{place // 2}")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(lines))
    said = predict(record, ONE, f"input={images}", f"labels={labels}")
    found = rows(said.stdout)
    assert [row["label"] for row in found] == ["benign", "malignant"] * 4
    assert [row["patient"] for row in found] == [f"p{place // 2}" for place in range(8)]
    assert "8 scored units, 4 of them malignant, of 4 patients" in said.stderr


def test_what_is_no_image_and_what_is_unlike_all_that_was_trained_on(
    record: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 900), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a-large.png"), noise)
    cv2.imwrite(str(tmp_path / "b-blank.png"), np.full((90, 90), 7, np.uint8))
    (tmp_path / "c-text.png").write_text("no image")
    (tmp_path / "d-cut.dcm").write_bytes(next(iter(crops_of(record).values())).read_bytes()[:700])
    (tmp_path / "notes.txt").write_text("not looked at")
    said = predict(record, ONE, f"input={tmp_path}", status=1)
    large, *refused = rows(said.stdout)
    assert "width 900 pixels (trained on" in large["flags"]
    assert "height 1500 pixels" in large["flags"]
    assert "8 bits a value (trained on 16)" in large["flags"]
    assert large["probability"]
    assert len(refused) == 3
    for row in refused:
        assert row["refused"]
        assert row["probability"] == row["called"] == ""
    assert "every pixel has the value 7" in refused[0]["refused"]
    assert "3 of 4 images could not be used" in said.stderr
    assert "1 of 4 images is unlike" in said.stderr


def test_several_networks_are_an_ensemble(record: Path) -> None:
    path = next(iter(crops_of(record).values()))
    odds = [
        float(
            rows(predict(record, f"run=head.weight_lr={rate}", f"input={path}").stdout)[0][
                "log_odds"
            ]
        )
        for rate in (1, 20)
    ]
    for named in ("run=head.weight_lr=1,head.weight_lr=20", "run=sq best=2"):
        together = rows(predict(record, *named.split(), f"input={path}").stdout)[0]
        assert float(together["log_odds"]) == pytest.approx(sum(odds) / 2, abs=1e-12)
        assert float(together["probability"]) == pytest.approx(1 / (1 + np.exp(-sum(odds) / 2)))
    chosen = predict(record, "run=sq", "best=2", "ensemble=greedy", f"input={path}")
    assert "% of the joint log odds" in chosen.stderr


def test_a_name_that_means_several(record: Path, tmp_path: Path) -> None:
    """Two sweeps of one title have a trial of one name each: their ids are listed."""
    shutil.copytree(record, tmp_path / "copy")
    folder = tmp_path / "copy"
    train(folder, "backbone=squeezenet", "head.weight_lr=20,30", "seed=5", "name=other")
    table = runs.table(str(folder / "mlruns"))
    both = list(table[table.name == "head.weight_lr=20"].run_id)
    assert len(both) == 2
    path = next(iter(crops_of(record).values()))
    said = predict(folder, "run=head.weight_lr=20", f"input={path}", status=2).stderr
    assert all(each in said for each in both)
    for word, run_id in (("sq/head.weight_lr=20", both[0]), ("other/head.weight_lr=20", both[1])):
        said = predict(folder, f"run={word}", f"input={path}").stderr
        assert run_id in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("input=x.png",), "run=NAME names the trained network"),
        (("run=sq/head.weight_lr=1",), "input=PATH names the images"),
        (("run=sq/head.weight_lr=1", "input=x.png"), "input=x.png does not exist"),
        (("run=nothing", "input=."), "no trial this name"),
        (("run=sq", "input=mlruns"), "is the sweep sq, not a trial"),
        (("run=sq", "best=none", "input=mlruns"), "expected a whole number"),
        (("run=nosuch", "best=2", "input=mlruns"), "no finished trial"),
        (("run=sq/head.weight_lr=1", "input=mlruns", "labels=l.csv", "data=cmmd"), "give one"),
        (("run=sq/head.weight_lr=1", "input=mlruns/mlflow.db", "labels=l.csv"), "input=FOLDER"),
        (("run=models:/x@y", "input=mlruns"), "names no registered model"),
        (("run=models:/x", "input=mlruns"), "no version of a registered model: expected models:/"),
        (("run=sq/head.weight_lr=1", "input=.", "tracking.dir=nowhere"), "nothing is recorded"),
        (("run=sq/head.weight_lr=1", "input=empty"), "no image in this folder"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(record: Path, arguments: tuple[str, ...], expected: str) -> None:
    said = predict(record, *arguments, status=2)
    (line,) = [each for each in said.stderr.splitlines() if each.startswith("error: ")]
    assert expected in line


def test_a_record_without_a_network(record: Path, tmp_path: Path) -> None:
    shutil.copytree(record, tmp_path / "copy")
    for file in (tmp_path / "copy" / "mlruns").rglob("network.pth"):
        file.unlink()
    path = next(iter(crops_of(record).values()))
    said = predict(tmp_path / "copy", ONE, f"input={path}", status=2).stderr
    assert "kept no network" in said


def test_a_damaged_network_is_refused(record: Path, tmp_path: Path) -> None:
    shutil.copytree(record, tmp_path / "copy")
    for file in (tmp_path / "copy" / "mlruns").rglob("network.pth"):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content[: len(content) // 2])
    path = next(iter(crops_of(record).values()))
    said = predict(tmp_path / "copy", ONE, f"input={path}", status=2).stderr
    assert "cannot be read" in said


def test_an_older_record_predicts_and_says_what_it_cannot_tell(
    record: Path, tmp_path: Path
) -> None:
    shutil.copytree(record, tmp_path / "copy")
    for name in ("inputs.json", "split.csv", "validation.csv"):
        for file in (tmp_path / "copy" / "mlruns").rglob(name):
            file.unlink()
    path = next(iter(crops_of(record).values()))
    said = predict(tmp_path / "copy", ONE, f"input={path}")
    assert rows(said.stdout)[0]["threshold"] == "0.5"
    assert "nothing is flagged" in said.stderr
    assert "above a probability of 0.5" in said.stderr


def test_networks_of_a_tracking_server_answer_alike(record: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    path = next(iter(crops_of(record).values()))
    with tracking_server(tmp_path / "server") as address:
        server = f"tracking.uri={address}"
        cache = f"data.cache={record / '.cache'}"
        train(tmp_path, "backbone=squeezenet", "head.weight_lr=20,30", "name=sq", server, cache)
        there = predict(tmp_path, ONE, f"input={path}", server)
        ensemble = predict(tmp_path, "run=sq", "best=2", f"input={path}", server)
    assert there.stdout == predict(record, ONE, f"input={path}").stdout
    assert 0 < float(rows(ensemble.stdout)[0]["probability"]) < 1


@pytest.mark.parametrize(
    "words", [("to=mlruns",), ("to=mlruns/mlflow.db/x.csv",), ("heat_maps=mlruns/mlflow.db",)]
)
def test_a_place_that_takes_nothing_is_said_before_any_work(
    record: Path, words: tuple[str, ...]
) -> None:
    path = next(iter(crops_of(record).values()))
    said = predict(record, ONE, f"input={path}", *words, status=2)
    assert f"cannot write {words[0]}" in said.stderr
    assert "trained on" not in said.stderr, "no network was read for it"
    assert (record / "mlruns" / "mlflow.db").is_file()


def test_what_validation_cannot_decide_is_said() -> None:
    from mcalc.evaluation import Choice, decide
    from mcalc.predict.predicting import _what_is_not_decided
    from mcalc.results import Predictions

    def notes(odds: list[float]) -> str:
        labels = np.array([0, 1] * 5)
        ids = tuple(map(str, range(10)))
        logits = np.array(odds)[:, None]
        said = Predictions(ids, labels, 1 / (1 + np.exp(-logits[:, 0])), ids, logits)
        return " ".join(_what_is_not_decided(decide(said, Choice("youden")), said))

    assert notes([-1.0, 2.0, 0.5, -0.3, -2.0, 1.0, -1.0, 1.5, -0.2, 0.4]) == ""
    # worse than chance at every threshold
    assert "every one of them is called malignant" in notes([3.0, -3.0] * 5)
    assert "no temperature is the best" in notes([-3.0, 3.0] * 5)


def test_networks_that_score_units_in_two_ways_are_no_ensemble(record: Path) -> None:
    from mcalc.errors import UserError
    from mcalc.predict.predicting import _require_one_rule

    one = runs.network("sq/head.weight_lr=1", str(record / "mlruns"))
    rules = [rule for rule in UnitScore if rule is not one.config.data.unit_score]
    data = replace(one.config.data, unit_score=rules[0])
    other = replace(one, config=replace(one.config, data=data))
    _require_one_rule([one, one])
    with pytest.raises(UserError, match=r"data\.unit_score"):
        _require_one_rule([one, other])
