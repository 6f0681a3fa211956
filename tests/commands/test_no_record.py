"""Commands that read a record say where there is none, and make none there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.command_line import run_command
from mcalc.config import COMMANDS

READING = [
    ("sweep", "list"),
    ("sweep", "show mine"),
    ("sweep", "check"),
    ("sweep", "check repair=true"),
    ("sweep", "check mine"),
    ("sweep", "url"),
    ("sweep", "pause mine"),
    ("sweep", "remove mine"),
    ("sweep", "send"),
    ("report", ""),
    ("predict", "run=mine input=."),
    ("export", "run=mine to=mine.onnx"),
    ("train", "from_run=mine"),
]


@pytest.mark.parametrize(("command", "words"), READING)
def test_a_record_that_is_not_there_is_not_made(
    command: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "mistyped"
    assert command in COMMANDS
    with pytest.raises(SystemExit) as ended:
        run_command(command, [*words.split(), f"tracking.dir={place}"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"recorded in {place}" in said
    assert list(tmp_path.iterdir()) == []
