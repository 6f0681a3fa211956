"""Which file `backbone.weights` names, and that a trial is known by its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.config import BackboneConfig, Config, contents_of, weight_file
from mcalc.errors import UserError
from mcalc.file_digest import file_sha256


def config(weights: Path | str, backbone: str = "alexnet_bvlc") -> Config:
    return Config(backbone=BackboneConfig(backbone, str(weights)))


def test_a_file_is_itself_and_words_name_none(tmp_path: Path) -> None:
    assert weight_file(str(tmp_path / "w.npz"), "alexnet_bvlc") == tmp_path / "w.npz"
    assert weight_file("imagenet", "alexnet_bvlc") is None
    assert weight_file("none", "alexnet_bvlc") is None


def test_of_a_folder_each_backbone_takes_the_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "alexnet_bvlc.onnx").write_bytes(b"one")
    (tmp_path / "googlenet_bvlc.caffemodel").write_bytes(b"two")
    for name in ("alexnet_bvlc.onnx", "googlenet_bvlc.caffemodel"):
        backbone = name.partition(".")[0]
        assert weight_file(str(tmp_path), backbone) == tmp_path / name
        found = contents_of(config(tmp_path, backbone))
        assert found == {"backbone.weights": f"sha256:{file_sha256(tmp_path / name)}"}
        # the same trial as with the file itself
        assert found == contents_of(config(tmp_path / name, backbone))


def test_none_and_several_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of them is there"):
        weight_file(str(tmp_path), "alexnet_bvlc")
    assert contents_of(config(tmp_path)) == {}
    for suffix in (".npz", ".onnx"):
        (tmp_path / f"alexnet_bvlc{suffix}").write_bytes(b"x")
    with pytest.raises(UserError, match=r"alexnet_bvlc\.npz and alexnet_bvlc\.onnx are there"):
        weight_file(str(tmp_path), "alexnet_bvlc")
