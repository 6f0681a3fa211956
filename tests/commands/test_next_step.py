"""Commands that look at something say at their end what can be done with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from engine import Instant, sweep

from mcalc.config import COMMANDS
from mcalc.data.__main__ import main as data
from mcalc.paper.__main__ import main as paper
from mcalc.sweep.__main__ import main as look
from mcalc.weights import main as weights

Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """The command that what was printed last names, after `next: `."""

    def read() -> str:
        text = " ".join(capsys.readouterr().out.split())
        found = re.findall(r"next: `([^`]+)`", text)
        assert found, text
        return found[-1]

    return read


def is_command(text: str) -> bool:
    """Whether it is one of mcalc's, with a module that it has, or a target of make."""
    words = shlex.split(text)
    modules = {f"mcalc.{command.name}" for command in COMMANDS.values()}
    return words[0] == "make" or (words[:2] == ["python", "-m"] and words[2] in modules)


def test_sweeps(tmp_path: Path, said: Said) -> None:
    sweep(tmp_path, "head.weight_lr=1,2", "name=mine", instant=Instant(tmp_path / "log"))
    place = f"tracking.dir={tmp_path / 'mlruns'}"
    for words in (["list"], ["show", "mine"], ["check"]):
        assert look([*words, place]) == 0
        assert shlex.split(said()) == ["python", "-m", "mcalc.report", place]


@pytest.mark.parametrize("words", [[], ["data.phantom.lesions=24"]])
def test_a_data_set_is_trained_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    few = "source: phantom\nphantom: {lesions: 16}\n"
    (tmp_path / "conf" / "data" / "phantom.yaml").write_text(few)
    assert data(words) == 0
    assert said() == " ".join(["python -m mcalc.train -m sweep=alexnet dry_run=true", *words])


def test_the_audit_of_the_paper(said: Said) -> None:
    assert paper([]) == 0
    assert said() == "python -m mcalc.paper data.csv_dir=PATH"


def test_weights_are_given_to_training(tmp_path: Path, said: Said) -> None:
    import torch

    from mcalc.models import find_backbone

    file = tmp_path / "my weights.pth"
    torch.save(find_backbone("squeezenet").build().state_dict(), file)
    assert weights(["backbone=squeezenet", f"backbone.weights={file}"]) == 0
    command = said()
    assert is_command(command)
    assert shlex.split(command)[3:] == ["backbone=squeezenet", f"backbone.weights={file}"]
