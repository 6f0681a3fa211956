"""Networks written as ONNX where its packages are not installed; with them: tests/predict."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.errors import UserError
from mcalc.models import Classifier, build_classifier, export_onnx


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_its_packages_the_error_says_how_to_install_them(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = BackboneConfig(name="squeezenet", weights="none")
    built = build_classifier(backbone, 0)
    network = Classifier(built, backbone, HeadConfig(), TrainerConfig()).eval()
    monkeypatch.setitem(sys.modules, package, None)
    target = tmp_path / "network.onnx"
    said = (
        f"to={target}: writing ONNX needs the packages onnx and onnxscript: pip install "
        "'mcalc[onnx]'"
    )
    with pytest.raises(UserError, match=re.escape(said)):
        export_onnx(network, built.contract.size, 1, "{}", target)
    assert not any(tmp_path.iterdir())
