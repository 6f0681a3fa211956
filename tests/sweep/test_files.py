"""Sweep files: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.errors import UserError
from mcalc.sweep.files import load


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path / "sweeps"


def test_a_user_adds_a_sweep_by_adding_a_file(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "description: two seeds\noverrides: [backbone=squeezenet]\n"
        "rows:\n  A: {seed: 1}\n  B: {seed: 2, name: 'it''s', stopping.patience: null}\n"
    )
    file = load("mine")
    assert file.overrides == ("backbone=squeezenet",)
    assert file.rows == {
        "A": ("seed=1",),
        "B": ("seed=2", "name='it\\'s'", "stopping.patience=null"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows: {A: {sede: 1}}", "row A sets an unknown key 'sede'; did you mean 'seed'?"),
        ("rows: {}", "must name at least one trial"),
        ("description: none", "must name at least one trial"),
        ("rowz: {A: {seed: 1}}", "unknown key 'rowz'; did you mean 'rows'?"),
        ("rows: {A: 3}", "row A must be a mapping"),
        ("rows: [A", "is not YAML"),
        ("just text", "must be a mapping"),
        ("overrides: backbone=alexnet\nrows: {A: {seed: 1}}", "must be a list of key=value"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(own: Path, text: str, said: str) -> None:
    (own / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        load("mine")
    assert "sweeps/mine.yaml" in str(raised.value)
    assert said in str(raised.value)


def test_an_unknown_sweep_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sweep=alexnot: no such sweep; did you mean 'alexnet'"):
        load("alexnot")
