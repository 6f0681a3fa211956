"""Help fits a screen, names what there is, and the settings page is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mcalc.__main__ import main
from mcalc.config import Config
from mcalc.config.commands import COMMANDS
from mcalc.config.compose import GROUPS, choices
from mcalc.config.help import command_help, every_setting, settings_page
from mcalc.config.paths import entries

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_fits_a_screen(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, flag, "head.weight_lr=1"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 100
    assert "ydra" not in printed
    command = COMMANDS[name]
    for word, entry in command.words.items():
        assert bool(entry.alias) != (f"  {word}=" in printed)
    for shown in (*command.actions, *command.flags, *command.settings, *command.examples):
        assert shown in printed
    assert len(command.examples) == 3
    if command.groups:
        for group in GROUPS:
            assert f"  {group}=" in printed
            assert ", ".join(choices(group)) in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_settings_in_help_exist_and_no_word_hides_one(name: str) -> None:
    command = COMMANDS[name]
    assert set(command.settings) <= set(entries())
    assert not set(command.words) & set(entries())
    assert {word.alias for word in command.words.values()} - {""} <= set(entries())


def test_every_setting_is_told_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help", "all"]) == 0
    printed = capsys.readouterr().out
    assert printed == every_setting() + "\n"
    for key, entry in entries().items():
        assert (f"\n{key}{':' if entry.is_section else '='}" in printed) != key.startswith("job")


def test_help_may_be_cut_off_by_its_reader() -> None:
    done = subprocess.run(
        f"{sys.executable} -m mcalc.train --help all | head -1",
        shell=True, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_settings_page_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "write it with python -m mcalc.config.help > docs/settings.md"
    for key, entry in entries().items():
        assert (f"| `{key}` |" in page) == (not entry.is_section and not key.startswith("job"))


def test_a_neutral_value_and_a_range_stand_on_the_page() -> None:
    page = settings_page()
    assert "| `backbone.lr_decay` | `1.0` | a number above 0 to 1 | unless 1.0 |" in page
    assert "| `stopping.patience` | `null` | a whole number from 1, or null | yes |" in page


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_commands_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in printed
        assert command.line in printed


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["trian"])
    assert left.value.code == 2
    assert "unknown command 'trian'; did you mean 'train'?" in capsys.readouterr().err


def test_sweep_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep"]) == 0
    assert capsys.readouterr().out == command_help(COMMANDS["sweep"]) + "\n"


def test_a_commands_own_process_and_the_common_one_do_the_same(tmp_path: Path) -> None:
    arguments = ["seed=7", "--cfg", "job"]

    def printed(*command: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", *command, *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip

    assert "seed: 7\n" in (own := printed("mcalc.train"))
    assert own == printed("mcalc", "train")
    assert f"metrics: {Config().metrics}" in own
