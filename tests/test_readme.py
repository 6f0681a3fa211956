"""The README's commands, run: those that are long, at a scale that a test can afford."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import processes
import pytest
from small_network import SMALL_NETWORK

from mcalc.config import PhantomConfig
from mcalc.data.phantom.download import write_phantom
from mcalc.train import main as train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    words
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if (words := shlex.split(line, comments=True))
]
SHORT = [
    "data.phantom.lesions=24",
    "trainer.batch_size=4",
    "trainer.max_iterations=2",
    "tracking.keep_models=none",
]
TINY = ["backbone=squeezenet", "backbone.weights=none", *SHORT]
TESTS = str(Path(__file__).parent)
"""Has the small network, for commands that make starts."""


def call(words: list[str], folder: Path) -> str:
    if words[:2] == [sys.executable, "-m"]:
        done = processes.run(*words[2:], folder=folder)
    else:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=600, check=False
        )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def of(module: str) -> list[list[str]]:
    found = [words[3:] for words in COMMANDS if words[:3] == ["python", "-m", module]]
    assert found, f"the README shows no {module}"
    return found


def test_every_command_is_of_a_kind_that_is_tested_here() -> None:
    for words in COMMANDS:
        assert words[0] == "make" or words[:2] == ["python", "-m"], words
        if words[1] == "-m":
            known = ("train", "data", "report", "sweep", "paper")
            # these need a network: tests/predict/test_readme_commands.py
            known = (*known, "predict", "export")
            assert words[2].removeprefix("mcalc.") in known, words


def test_every_make_target_of_the_readme_exists_and_help_names_it() -> None:
    listed = call(["make", "help"], ROOT)
    targets = {words[1] for words in COMMANDS if words[0] == "make"}
    assert {"tables", "test", "lint", "ui", "table1"} <= targets
    for target in targets:
        call(["make", "-n", target], ROOT)
        assert re.search(rf"^{target} ", listed, flags=re.MULTILINE), target


def own_images(arguments: list[str], folder: Path) -> list[str]:
    """The arguments with the README's example of a folder of images put where there is one."""
    rows = ["path,label,patient"]
    (folder / "images").mkdir()
    draw = np.random.default_rng(0)
    for number in range(24):
        picture = draw.integers(0, 256, (40, 50), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        rows.append(f"{number}.png,{('benign', 'malignant')[number % 2]},patient {number // 2}")
    (folder / "labels.csv").write_text("\n".join(rows))
    places = {"/path/to/images": "images", "/path/to/labels.csv": "labels.csv"}
    given = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        given.append(f"{key}={folder / places[value]}" if value in places else argument)
    return given


def inside(
    arguments: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """What `python -m mcalc.train ARGUMENTS` does, without importing torch once more for each."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["mcalc.train", *arguments])
    capsys.readouterr()
    train()
    return capsys.readouterr().out


@pytest.mark.whole
@pytest.mark.parametrize("arguments", of("mcalc.train"), ids=shlex.join)
def test_training_commands(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = ["data.phantom.lesions=40"]
    arguments = own_images(arguments, tmp_path)
    again = [argument for argument in arguments if argument.startswith("from_run=")]
    if again:
        name = again[0].removeprefix("from_run=")
        inside([f"name={name}", *TINY, *small], tmp_path, monkeypatch, capsys)
        printed = inside([*arguments, "tracking.keep_models=none"], tmp_path, monkeypatch, capsys)
        assert "all numbers are equal" in printed
        return
    # the folder of MATLAB's networks, whose files a plan looks for and does not read
    (tmp_path / "weights").mkdir()
    for name in ("alexnet_bvlc", "googlenet_bvlc"):
        (tmp_path / "weights" / f"{name}.npz").touch()
    # a sweep of AlexNets is for another time than a test: its plan is enough here
    plan = [*small, "trainer.batch_size=2", "dry_run=true"]
    more = plan if "-m" in arguments else [*TINY, *small]
    printed = inside([*arguments, *more], tmp_path, monkeypatch, capsys)
    if "sweep=alexnet,googlenet" in arguments:
        assert printed.count("10 trials in 7 training runs") == 2
    elif "backbone=alexnet,googlenet" in arguments:
        assert "8 trials in 8 training runs" in printed
    elif "-m" not in arguments:
        assert "accuracy" in printed


@pytest.mark.whole
def test_looking_at_sweeps(tmp_path: Path) -> None:
    call([sys.executable, "-m", "mcalc.train", "-m", *TINY, "head.weight_lr=1,2"], tmp_path)
    for arguments in of("mcalc.sweep"):
        assert "agree" in call([sys.executable, "-m", "mcalc.sweep", *arguments], tmp_path)


@pytest.mark.whole
def test_checking_a_download(tmp_path: Path) -> None:
    root = write_phantom(tmp_path / "download", PhantomConfig(lesions=40))
    own = tmp_path / "split.csv"
    own.write_text("image,split\nP_00001_LEFT_CC_1,train\nP_00002_LEFT_CC_1,test\n")
    for arguments in of("mcalc.data"):
        if arguments == ["check_split=/path/to/split.csv"]:
            place = f"check_split={own}"
            assert "Clean" in call([sys.executable, "-m", "mcalc.data", place], tmp_path)
            continue
        given = [word.replace("/path/to/CBIS-DDSM", str(root)) for word in arguments]
        assert str(root) in shlex.join(given)
        assert "40" in call([sys.executable, "-m", "mcalc.data", *given], tmp_path)


@pytest.mark.shared
def test_auditing_the_paper(shared_data: Path, tmp_path: Path) -> None:
    for arguments in of("mcalc.paper"):
        folder = shared_data / "cbis-ddsm" / "csv"
        given = [word.replace("/path/to/csvs", str(folder)) for word in arguments]
        assert str(folder) in shlex.join(given)
        assert "neither is proved" in call([sys.executable, "-m", "mcalc.paper", *given], tmp_path)


@pytest.mark.whole
def test_make_demo_writes_a_page_with_its_trial(tmp_path: Path) -> None:
    settings = shlex.join([*TINY, f"data.cache={tmp_path / 'cache'}"])
    printed = call(["make", "demo", f"DEMO_IN={tmp_path / 'demo'}", f"ARGS={settings}"], ROOT)
    assert re.search(r"^ *demo ", printed, flags=re.MULTILINE)
    page = (tmp_path / "demo" / "report" / "index.html").read_text(encoding="utf-8")
    assert "synthetic" in page
    assert "Training of demo" in page, "its curve, for those who cannot see it"


def test_every_page_of_the_docs_is_in_their_index() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[([\w.]+)\]\(\1\)", index, flags=re.MULTILINE)) == pages


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]))
def test_pictures_of_a_page_are_there_small_and_described(page: Path) -> None:
    for text, target in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).stat().st_size < 300_000
        assert len(text) > 20, "what it shows, for those who cannot see it"


@pytest.mark.whole
def test_make_tables_end_to_end_and_what_builds_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", TESTS, prepend=os.pathsep)
    places = [f"RUNS={tmp_path / 'runs'}", f"REPORT={tmp_path / 'report'}"]
    settings = shlex.join([*SMALL_NETWORK, *SHORT, f"data.cache={tmp_path / 'cache'}"])
    printed = call(["make", "tables", *places, f"ARGS={settings}"], ROOT)
    for name in [f"{network}{row}" for network in ("AL", "GL") for row in range(1, 11)]:
        assert re.search(rf"^ *{name} ", printed, flags=re.MULTILINE), name
    for number in (1, 2, 5, 6):
        for ending in ("txt", "csv", "md", "tex"):
            assert (tmp_path / "report" / f"table{number}.{ending}").stat().st_size > 500
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "AL10" in page
    assert "GL10" in page
    assert "synthetic" in page
    table = call(["make", "table2", *places], ROOT)
    assert "GL10" in table
    assert "AL10" not in table
    for arguments in of("mcalc.report"):
        # without their page, which make has just drawn
        places = [f"tracking.dir={tmp_path / 'runs'}", f"out={tmp_path / 'again'}", "table=5"]
        call([sys.executable, "-m", "mcalc.report", *arguments, *places], tmp_path)
        assert (tmp_path / "again" / "table5.txt").is_file()
