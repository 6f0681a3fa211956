"""The README's and docs/predict.md's commands, on a record of two small networks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from trained_record import PHANTOM

from .test_predicting import crops_of

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("predict")]
ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    shlex.split(line, comments=True)
    for file in (ROOT / "README.md", ROOT / "docs" / "predict.md")
    for line in re.findall(r"^ *(python -m mcalc\.(?:predict|export) .*)$", file.read_text(), re.M)
]


def test_there_are_some() -> None:
    assert {words[2] for words in COMMANDS} == {"mcalc.predict", "mcalc.export"}
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[2:]))
def test_it_runs(words: list[str], record: Path) -> None:
    """With a trial, images and a data set that are here in the places of those named."""
    lesion = next(iter(crops_of(record).values()))
    given: list[str] = []
    for word in words[3:]:
        key, _, value = word.partition("=")
        match key:
            case "run":
                given.append("run=sq/head.weight_lr=20")
            case "input":
                given.append(f"input={lesion if value.endswith('.dcm') else lesion.parent}")
            case "data":
                given += ["data=phantom", *PHANTOM]
            case "data.root":
                pass
            case _:
                given.append(word)
    done = processes.run(words[2], *given, folder=record)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_python_runs(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(record)
    given: dict[str, Any] = {}
    exec(compile(example, "docs/predict.md", "exec"), given)
    assert len(given["table"]) == 2
    assert set(given["said"].malignant) == {0, 1}
    images = np.zeros((2, 224, 224), dtype=np.uint8)
    assert given["network"].odds(images).shape == (2,)
