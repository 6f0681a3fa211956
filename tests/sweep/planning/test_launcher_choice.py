"""A sweep file chooses the launcher, and says nothing else of Hydra."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.config.compose import compose_config
from mcalc.errors import UserError
from mcalc.sweep.planning.launcher_choice import chosen
from mcalc.sweep.planning.plan import make_plans
from mcalc.sweep.planning.sweep_file import load
from mcalc.training import resolved

ROWS = "rows:\n  A: {seed: 1}\n"


def read(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_text(text)
    monkeypatch.chdir(folder)
    load("mine")


@pytest.mark.parametrize(
    "given",
    [
        "hydra.run.dir=x", "+hydra.run.dir=x", "++hydra.job.chdir=true", "~hydra.launcher.n_jobs",
        "~hydra/launcher", "hydra/sweeper=basic", "hydra/job_logging=default", "hydra.verbose=true",
        "hydra.searchpath=[file:///x]", "+hydra/callbacks=x", "hydra={run: {dir: x}}",
        "+hydra={run: {dir: x}}", "hydra/launcher@x=joblib", "hydra.launcher=x",
        "hydra.launcher._target_=os.system", "+hydra.launcher.x={_target_: os.system}",
        "hydra.launcher_other=1", "hydra.output_subdir=null", "hydra@x=y",
    ],
)  # fmt: skip
def test_no_other_key_of_hydras_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    with pytest.raises(UserError) as raised:
        read(tmp_path, monkeypatch, f"overrides: ['{given}']\n{ROWS}")
    said = str(raised.value)
    assert said.startswith("sweeps/mine.yaml: ")
    assert "may have hydra/launcher and hydra.launcher.OPTION alone, in `overrides`" in said
    assert said.endswith("give others on the command line")


@pytest.mark.parametrize(
    "text",
    [
        "rows:\n  A: {hydra.run.dir: x}\n",
        "rows:\n  A: {hydra: {run: {dir: x}}}\n",
        "rows:\n  A: {'+hydra.job.chdir': true}\n",
        "rows:\n  A: {hydra/launcher: joblib}\n",
        "grid:\n  hydra.launcher.n_jobs: [1, 2]\n",
        "grid:\n  hydra/sweeper: [basic, mcalc]\n",
        "space:\n  hydra/sweeper: [basic, mcalc]\nbudget: {trials: 2}\n",
        "space:\n  '++hydra.sweep.dir': [a, b]\nbudget: {trials: 2}\n",
        f"hydra: {{run: {{dir: x}}}}\n{ROWS}",
        f"hydra/launcher: joblib\n{ROWS}",
        f"hydra.run.dir: x\n{ROWS}",
    ],
)
def test_nor_outside_of_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with pytest.raises(UserError, match=r"alone, in `overrides`; give others on the command line"):
        read(tmp_path, monkeypatch, text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hydra/launcher=joblib,basic", "a sweep has one launcher"),
        ("hydra.launcher.n_jobs=1,2", "a sweep has one launcher"),
        ("hydra/launcher=../../x", "expected a launcher's name"),
    ],
)
def test_a_launcher_is_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read(tmp_path, monkeypatch, f"overrides: ['{given}']\n{ROWS}")


def test_a_launcher_is_part_of_the_plan_and_of_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "overrides: [trainer.lr=0.02, hydra/launcher=joblib, hydra.launcher.n_jobs=2]\n"
    read(tmp_path, monkeypatch, f"{given}{ROWS}")
    arguments = ["sweep=mine", "name=same"]
    (plan,) = make_plans(arguments, compose_config, resolved, lambda _: "data")
    assert plan.launcher == ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert plan.fixed == ("trainer.lr=0.02",)
    (tmp_path / "sweeps" / "mine.yaml").write_text(f"overrides: [trainer.lr=0.02]\n{ROWS}")
    (without,) = make_plans(arguments, compose_config, resolved, lambda _: "data")
    assert [each.key for each in without.trials] == [each.key for each in plan.trials]
    assert without.sweep == plan.sweep


def test_the_command_line_has_the_last_word() -> None:
    of_file = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "+hydra.launcher.x=1"]
    assert chosen(of_file, []) == of_file
    assert chosen(of_file, ["hydra.launcher.n_jobs=4"]) == [of_file[0], of_file[2]]
    assert chosen(of_file, ["hydra/launcher=submitit_local"]) == []
