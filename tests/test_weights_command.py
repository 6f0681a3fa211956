"""`python -m mcalc.weights`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import caffe_files
import numpy as np
import pytest
import torch
from onnx_files import write_googlenet

from mcalc.models import BACKBONES
from mcalc.models.published_weights import SHA1, SHA256
from mcalc.models.weights import load_file
from mcalc.weights import main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drawn weights of BVLC's GoogLeNet in its three forms, and whole SqueezeNet."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    entry = BACKBONES["googlenet_bvlc"]
    assert entry.npz_key is not None
    arrays = {entry.npz_key(k): v.numpy() for k, v in entry.build().state_dict().items()}
    np.savez(folder / "googlenet_bvlc.npz", **arrays)
    write_googlenet(folder / "g.onnx", arrays)
    names = dict.fromkeys(name.rpartition(".")[0] for name in arrays)
    layers = [
        caffe_files.layer(
            name, "Convolution",
            [caffe_files.blob(arrays[f"{name}.{kind}"]) for kind in ("weight", "bias")],
        )
        for name in names
    ]  # fmt: skip
    (folder / "g.caffemodel").write_bytes(caffe_files.network(layers, "GoogleNet"))
    torch.save(BACKBONES["squeezenet"].build().state_dict(), folder / "s.pth")
    return {
        "npz": folder / "googlenet_bvlc.npz", "onnx": folder / "g.onnx",
        "caffemodel": folder / "g.caffemodel", "pth": folder / "s.pth",
    }  # fmt: skip


def equal(path: Path, other: Path) -> bool:
    entry = BACKBONES["googlenet_bvlc"]
    one, two = entry.build(), entry.build()
    load_file(one, path, npz_key=entry.npz_key)
    load_file(two, other, npz_key=entry.npz_key)
    theirs = two.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("kind", ["onnx", "caffemodel", "npz"])
def test_a_file_is_described_and_converted(
    kind: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "googlenet_bvlc.npz"
    given = ("backbone=googlenet_bvlc", f"backbone.weights={files[kind]}", f"to={target}")
    assert main(given) == 0
    printed = capsys.readouterr().out
    assert hashlib.sha256(files[kind].read_bytes()).hexdigest() in printed
    assert "none of the published files" in printed
    assert "116 arrays of 6,998,552 finite numbers" in printed
    row = next(line for line in printed.splitlines() if line.startswith("conv1/7x7_s2.weight"))
    assert "64x3x7x7" in row
    assert ("conv1/7x7_s2_w_0" in row) == (kind == "onnx")
    said = {"onnx": "onnx-caffe2", "caffemodel": "Caffe network 'GoogleNet'", "npz": "numpy"}
    assert said[kind] in printed.splitlines()[0]
    assert ("not checked: " in printed) == (kind == "caffemodel")
    assert f"wrote {target}: SHA-256 {hashlib.sha256(target.read_bytes()).hexdigest()}" in printed
    assert equal(target, files["npz"])
    assert [each.name for each in target.parent.iterdir()] == ["googlenet_bvlc.npz"]


def test_a_folder_stands_for_the_file_of_the_backbone(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = files["npz"].parent
    assert main(("backbone=googlenet_bvlc", f"backbone.weights={folder}")) == 0
    assert str(files["npz"]) in capsys.readouterr().out.splitlines()[0]


def test_torchvisions_files_are_checked_too(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("backbone=squeezenet", f"backbone.weights={files['pth']}")) == 0
    assert "52 arrays of 1,235,496 finite numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "names the file to read"),
        (("backbone.weights=none",), "names the file to read"),
        (("backbone=squeezenet", "backbone.weights={pth}", "to=new.npz"), "reads no .npz"),
        (("backbone=googlenet_bvlc", "backbone.weights={onnx}", "to=new.pth"), "ends in .npz"),
        (("backbone=googlenet_bvlc", "backbone.weights={npz}", "to={npz}"), "file that is read"),
        (("backbone=googlenet_bvlc", "backbone.weights={npz}", "to={pth}/a.npz"), "cannot write"),
        (("backbone=googlenet_bvlc", "backbone.weights={npz}", "to={pipe}"), "a pipe: give"),
        (("backbone=alexnet_bvlc", "backbone.weights={onnx}"), "not a file of BvlcAlexNet"),
        (("backbone=alexnet_bvlc", "backbone.weights={folder}"), "none of them is there"),
        (("backbone=alexnet", "backbone.weights={onnx}"), r"AlexNet reads .pth, .pt files"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_status_2(
    arguments: tuple[str, ...],
    said: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {name: str(path) for name, path in files.items()}
    places["folder"] = str(files["npz"].parent)
    places["pipe"] = str(tmp_path / "pipe.npz")
    os.mkfifo(places["pipe"])
    with pytest.raises(SystemExit) as ended:
        main([argument.format(**places) for argument in arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["pipe.npz"]


@pytest.mark.parametrize(
    ("kind", "table", "algorithm", "said"),
    [
        ("onnx", SHA256, "sha256", "zoo.onnx of the ONNX model zoo"),
        ("caffemodel", SHA1, "sha1", "zoo.caffemodel of Caffe's model zoo (SHA-1 {digest})"),
    ],
)
def test_a_published_file_is_recognised_by_its_content(
    kind: str,
    table: dict[str, str],
    algorithm: str,
    said: str,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = hashlib.new(algorithm, files[kind].read_bytes()).hexdigest()
    monkeypatch.setitem(table, digest, f"zoo.{kind}")
    assert main(("backbone=googlenet_bvlc", f"backbone.weights={files[kind]}")) == 0
    printed = capsys.readouterr().out
    assert said.format(digest=digest) in printed
    assert "none of the published files" not in printed


@pytest.mark.whole
@pytest.mark.parametrize("suffix", ["caffemodel", "onnx"])
def test_names_that_are_no_text_are_refused_by_protobuf_of_python_too(
    suffix: str, files: dict[str, Path], tmp_path: Path
) -> None:
    """Protobuf without its compiled part, which some install to get along with other packages."""
    content = files[suffix].read_bytes()
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content.replace(b"inception_4a/1x1", b"\xff" * 16))
    assert path.read_bytes() != content
    done = subprocess.run(
        [
            sys.executable, "-m", "mcalc.weights",
            "backbone=googlenet_bvlc", f"backbone.weights={path}",
        ],
        env={
            **os.environ,
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "(it has names that are no text): the file is damaged" in line


def test_published_digests_are_digests() -> None:
    for digests, length in ((SHA256, 64), (SHA1, 40)):
        assert all(len(each) == length and int(each, 16) for each in digests)
    page = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
    for digest, name in (SHA256 | SHA1).items():
        assert digest in page
        assert name in page
