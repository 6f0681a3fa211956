"""Networks outside of the record: ONNX under ONNX Runtime, MLflow's registry and its server."""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import onnx
import onnxruntime
import processes
import pytest
import torch
import yaml

from mcalc import runs
from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.models import BACKBONES, Classifier, build_classifier, export_onnx

from .test_predicting import crops_of

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("predict")]
ROOT = Path(__file__).resolve().parents[2]


def export(folder: Path, *arguments: str, status: int = 0) -> str:
    done = processes.run("mcalc.export", *arguments, folder=folder)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_says_the_same_as_onnx(name: str, tmp_path: Path) -> None:
    built = build_classifier(BackboneConfig(name=name, weights="none"), seed=3)
    settings = TrainerConfig(precision="fp32", channels_last=True)
    network = Classifier(built, BackboneConfig(name=name), HeadConfig(), settings).eval()
    size = built.contract.size
    file = tmp_path / "network.onnx"
    export_onnx(network, size, 1, "{}", file)
    images = np.random.default_rng(1).integers(0, 256, (3, 1, size, size)).astype(np.float32)
    with torch.inference_mode():
        expected = torch.softmax(network(torch.from_numpy(images)), dim=1)[:, 1].numpy()
    session = onnxruntime.InferenceSession(str(file))
    for count in (1, 2, 3):
        logits, probabilities = session.run(None, {"image": images[:count]})
        assert logits.shape == (count, 2)
        np.testing.assert_allclose(probabilities, expected[:count], atol=1e-4, rtol=0)
    assert np.ptp(expected) > 0


def test_a_networks_file_says_how_its_images_are_prepared(record: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "sq.onnx"
    export(record, "run=sq/head.weight_lr=20", f"to={file}")
    model = onnx.load(str(file))
    about = json.loads({each.key: each.value for each in model.metadata_props}["mcalc"])
    assert "clip_limit: 3.5" in about["config"]
    assert str(record) not in json.dumps(about), "no path of the machine"
    assert about["inputs"]["low"]["width"] > 0
    network = runs.network("sq/head.weight_lr=20", str(record / "mlruns"))
    images = np.random.default_rng(1).integers(0, 256, (4, 224, 224), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(file))
    (logits, _) = session.run(None, {"image": images[:, None].astype(np.float32)})
    np.testing.assert_allclose(logits, network.logits(images), atol=1e-4, rtol=0)


def test_the_steps_of_the_page_give_the_commands_probability(record: Path, tmp_path: Path) -> None:
    """As docs/predict.md says, without anything of mcalc."""
    file = tmp_path / "sq.onnx"
    assert "note:" not in export(record, "run=sq/head.weight_lr=20", f"to={file}")
    rng = np.random.default_rng(0)
    large = cv2.resize(rng.integers(0, 65536, (40, 30), dtype=np.uint16), (500, 350))
    for place, grey in enumerate((large, large[:150, :120], (large >> 8).astype(np.uint8))):
        cv2.imwrite(str(tmp_path / f"{place}.png"), grey)
    said = processes.run(
        "mcalc.predict", "run=sq/head.weight_lr=20", f"input={tmp_path}", folder=record
    )
    expected = [float(row["probability"]) for row in csv.DictReader(io.StringIO(said.stdout))]
    prepared = []
    for place in range(3):
        grey = cv2.imread(str(tmp_path / f"{place}.png"), cv2.IMREAD_UNCHANGED)
        if grey.dtype == np.uint16:
            grey = np.rint(grey / 257).astype(np.uint8)
        grey = cv2.createCLAHE(3.5, (8, 8)).apply(grey)
        how = cv2.INTER_AREA if max(grey.shape) > 224 else cv2.INTER_LINEAR
        prepared.append(cv2.resize(grey, (224, 224), interpolation=how))
    session = onnxruntime.InferenceSession(str(file))
    image = np.array(prepared)[:, None].astype(np.float32)
    _, probabilities = session.run(None, {"image": image})
    np.testing.assert_allclose(probabilities, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("to=x.onnx",), "run=NAME names"),
        (("run=sq/head.weight_lr=1",), "to=FILE.onnx"),
        (("run=sq/head.weight_lr=1", "to=x.pth"), "ends in .onnx"),
        (("run=sq/head.weight_lr=1", "to=x.onnx", "alias=a"), "add registry=NAME"),
        (("run=head.weight_lr=1,head.weight_lr=20", "to=x.onnx"), "one network"),
        (("run=sq/head.weight_lr=1", "to=mlruns/mlflow.db/x.onnx"), "cannot write"),
        (("run=sq/head.weight_lr=1", "registry=a/b"), "choose another name"),
        (("run=sq/head.weight_lr=1", "registry=calc", "alias=v1"), "choose another name"),
    ],
)
def test_mistakes_are_one_sentence(record: Path, arguments: tuple[str, ...], expected: str) -> None:
    said = export(record, *arguments, status=2)
    (line,) = [each for each in said.splitlines() if each.startswith("error: ")]
    assert expected in line


@pytest.fixture(scope="module")
def registered(record: Path) -> str:
    said = export(record, "run=sq/head.weight_lr=20", "registry=calcifications", "alias=champion")
    assert "models:/calcifications/1, models:/calcifications@champion" in said
    return "models:/calcifications@champion"


def test_the_alias_leads_back_to_the_trial(record: Path, registered: str) -> None:
    path = next(iter(crops_of(record).values()))
    by_alias = processes.run("mcalc.predict", f"run={registered}", f"input={path}", folder=record)
    by_name = processes.run(
        "mcalc.predict", "run=sq/head.weight_lr=20", f"input={path}", folder=record
    )
    assert by_alias.returncode == 0, by_alias.stderr
    assert by_alias.stdout == by_name.stdout
    agree = processes.run("mcalc.sweep", "check", folder=record)
    assert agree.returncode == 0, "the trial's own run is as it was"


def test_models_move_with_their_record(record: Path, registered: str, tmp_path: Path) -> None:
    shutil.copytree(record / "mlruns", tmp_path / "mlruns")
    path = next(iter(crops_of(record).values()))
    moved = processes.run("mcalc.predict", f"run={registered}", f"input={path}", folder=tmp_path)
    before = processes.run("mcalc.predict", f"run={registered}", f"input={path}", folder=record)
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout == before.stdout
    assert processes.run("mcalc.sweep", "check", folder=tmp_path).returncode == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("calcifications", "champion")
    # not from where it was
    run = client.get_run(version.run_id)
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


def test_the_model_has_no_pickle(record: Path, registered: str) -> None:
    """Every file of the model is text, or numpy arrays that hold no object."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{record / 'mlruns' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("calcifications", "champion")
    (folder,) = (record / "mlruns").rglob(f"{version.run_id}/artifacts/model")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"MLmodel", "model.py", "about.json", "network.npz"} <= {path.name for path in files}
    for path in files:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files)
            with zipfile.ZipFile(path) as archive:
                assert all(name.endswith(".npy") for name in archive.namelist())
            continue
        text = path.read_text(encoding="utf-8")
        reads = {".json": json.loads, ".yaml": yaml.safe_load, ".py": ast.parse}
        kind = ".yaml" if path.name == "MLmodel" else path.suffix
        if kind != ".txt":
            reads[kind](text)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def asked(port: int, images: list[str]) -> list[dict[str, Any]]:
    body = {"dataframe_split": {"columns": ["image"], "data": [[each] for each in images]}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["predictions"]
    return found


def test_mlflow_serves_it_over_http(record: Path, registered: str, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{record / 'mlruns' / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
        "-m", registered, "--port", str(port), "--host", "127.0.0.1",
    ]  # fmt: skip
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=output, stderr=output,
        start_new_session=True,
    ) as server:  # fmt: skip
        try:
            deadline = time.monotonic() + 600
            while True:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            path = next(iter(crops_of(record).values()))
            png = (record / "mlruns").rglob("crops/*.png")
            sent = [path.read_bytes(), next(iter(png)).read_bytes(), b"no image"]
            texts = [base64.b64encode(each).decode() for each in sent]
            dicom, picture, nothing, broken = asked(port, [*texts, "not base64!"])
            assert asked(port, []) == []
        finally:
            os.killpg(server.pid, 15)
    said = processes.run(
        "mcalc.predict", "run=sq/head.weight_lr=20", f"input={path}", "output=jsonl", folder=record
    )
    expected = json.loads(said.stdout)
    assert dicom["probability"] == pytest.approx(expected["probability"], abs=1e-6)
    assert dicom["called"] == expected["called"]
    assert 0 < picture["probability"] < 1
    for refused in (nothing, broken):
        assert refused["probability"] is None
        assert "not an image" in refused["refused"] or "is empty" in refused["refused"]
