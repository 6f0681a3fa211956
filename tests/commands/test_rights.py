"""What a user may not read or write: a sentence that names the path, and exit status 2."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from engine import Instant, sweep
from parameters import most_are_whole
from rights import bound_by_rights

from mcalc.errors import exit_on_user_error

PHANTOM = ("data=phantom", "backbone.on_missing_weights=random")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """`locked`, `record` and `w.pth` may not be read; what is in `shown` may not either."""
    for name in ("work", "locked/data", "record", "shown"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("locked/x.png", "locked/split.csv", "locked/w.pth", "w.pth", "shown/split.csv"):
        (tmp_path / name).touch()
    shut = [tmp_path / name for name in ("locked", "record", "w.pth", "shown/split.csv")]
    for place in shut:
        place.chmod(0)
    (tmp_path / "shown").chmod(0o555)
    yield tmp_path
    for place in (*shut, tmp_path / "shown"):
        place.chmod(0o700)


@pytest.mark.parametrize(
    ("command", "named", "missing"),
    most_are_whole(
        [
            (
                ("report", "tracking.dir={}/record"),
                "record/mlflow.db",
                "enter the folder {}/record",
            ),
            (("sweep", "list", "tracking.dir={}/record"), "record/optuna.db", "enter"),
            (("sweep", "check", "alexnet", "tracking.dir={}/record"), "record/optuna.db", "enter"),
            (("sweep", "space", "tracking.dir={}/record"), "record/mlflow.db", "enter"),
            (("train", "from_run=AL3", "tracking.dir={}/record"), "record/mlflow.db", "enter"),
            (
                (
                    "train",
                    "-m",
                    "sweep=alexnet",
                    "dry_run=true",
                    *PHANTOM,
                    "tracking.dir={}/record",
                ),
                "record/optuna.db",
                "enter",
            ),
            (
                ("predict", "run=AL3", "input={}/work", "tracking.dir={}/record"),
                "record/mlflow.db",
                "enter",
            ),
            (("predict", "run=AL3", "input={}/locked/x.png"), "locked/x.png", "enter"),
            (("train", *PHANTOM, "backbone.weights={}/w.pth"), "w.pth", "read it"),
            (("train", *PHANTOM, "backbone.weights={}/locked/w.pth"), "locked/w.pth", "enter"),
            (
                ("train", *PHANTOM, "protocol.split_file={}/locked/split.csv"),
                "locked/split.csv",
                "enter",
            ),
            (
                ("train", *PHANTOM, "protocol.split_file={}/shown/split.csv"),
                "shown/split.csv",
                "read",
            ),
            (("data", "check_split={}/locked/split.csv"), "locked/split.csv", "enter"),
            (("data", "data=cbis_ddsm", "data.root={}/locked/data"), "locked/data", "enter"),
            (("paper", "data.csv_dir={}/locked/data"), "locked/data", "enter"),
        ],
        4,
    ),
)
def test_what_may_not_be_read_is_named_in_a_sentence(
    command: tuple[str, ...], named: str, missing: str, folder: Path
) -> None:
    module, *arguments = (each.format(folder, folder) for each in command)
    done = processes.run(
        f"mcalc.{module}", *arguments, folder=folder / "work", before=bound_by_rights
    )
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: {folder / named} cannot be ")
    assert f"you have no right to {missing.format(folder)}" in said
    assert said.endswith("(Permission denied); ask its owner for the right, or name another place")


def test_a_folder_that_may_not_be_listed_is_not_one_without_the_files(folder: Path) -> None:
    done = processes.run(
        "mcalc.paper",
        f"data.csv_dir={folder}/locked",
        folder=folder / "work",
        before=bound_by_rights,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: the folder {folder}/locked cannot be listed (Permission denied): "
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose record may be read alone, as one on a share or of a colleague."""
    folder = tmp_path_factory.mktemp("kept")
    sweep(folder, "head.weight_lr=1,2", "name=mine", instant=Instant(folder / "log"))
    places = [folder / "mlruns", *(folder / "mlruns").rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield folder
    for place in places:
        place.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    most_are_whole(
        ["sweep check", "train", "train -m head.weight_lr=1,2 name=mine"],
        1,
    ),
)
def test_a_record_that_may_not_be_written_is_not_waited_for(words: str, kept: Path) -> None:
    module, *arguments = words.split()
    if module == "train":
        arguments += PHANTOM
    done = processes.run(f"mcalc.{module}", *arguments, folder=kept, before=bound_by_rights)
    assert done.returncode == 2, done.stdout + done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert "mlruns" in said
    assert re.search("allowed to write it|written into .Permission denied", said), said


def status_of(path: str, what: str) -> None:
    """Ends with the status that a command would have, bound by rights."""
    bound_by_rights()
    with exit_on_user_error():
        if what == "kill":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as os.kill
        if what == "replace":
            Path(path).open("a").close()
        else:
            Path(path).open("x").close()
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("replace", "shown", "Is a directory"),
        ("replace", "readable", "cannot be used: you have no right to write it"),
        ("make", "shown/new", "cannot be made: you have no right to write to the folder {}/shown"),
        ("kill", "", "Operation not permitted"),
    ],
)
def test_what_may_not_be_written_is_one_too_and_other_refusals_are_not(
    what: str, name: str, said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "readable").touch(mode=0o444)
    process = multiprocessing.get_context("fork").Process(
        target=status_of, args=(str(folder / name), what)
    )
    process.start()
    process.join()
    error = capfd.readouterr().err
    assert said.format(folder) in error
    sentence = said.startswith("cannot")
    assert process.exitcode == (2 if sentence else 1)
    assert ("Traceback" in error) == (not sentence)
