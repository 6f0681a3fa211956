"""The archive: predictions, splits, settings, environment, tables, figures, script, checklist.

`python -m mcalc.report package=FILE.zip`. What names a place of this machine is left out of the
settings; patients' ids are those of the data set, as in the record.
"""

from __future__ import annotations

import io
import platform
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path

from markupsafe import escape

from mcalc.atomic_write import refused_as, write_binary
from mcalc.config import TrackingConfig
from mcalc.csv_cells import csv_text
from mcalc.errors import UserError
from mcalc.evaluation import Choice
from mcalc.iteration import grouped
from mcalc.report.baselines import by_split
from mcalc.report.configurations import (
    base_name,
    block,
    configurations,
    partition,
    tested_by_trained,
)
from mcalc.report.discipline import apart_from_protocol
from mcalc.report.formats import FORMATS, Table
from mcalc.report.package.checklist import checklist
from mcalc.report.package.model_card import model_card
from mcalc.report.package.settings import named_paths, without_places
from mcalc.report.recorded import unit_score
from mcalc.results import RecordedTrial
from mcalc.tracking import run_folder

OF_A_RUN = (
    "predictions.csv", "validation.csv", "logits.csv", "samples.csv", "split.csv", "curve.csv",
    "inputs.json",
)  # fmt: skip
"""Files of each trial's run that go along as they are."""
_SCRIPT = '''\
"""The numbers of the tables, computed again from the predictions beside this file.

    python recompute.py

It needs numpy and scipy alone, and nothing of mcalc. Exit status 0: every number that can be
computed agrees to its last digit; 1: one does not, and the lines above the count say which.
Tables are read as CSV; the lines below the count name columns that are not computed.
"""

import sys

from recomputing.tables import main

sys.exit(main())
'''
_TRIAL_COLUMNS = (
    "name", "run_id", "key", "configuration", "unit_score", "operating_point", "group", "set",
    "split", "block", "partition", "folds", "fold", "protocol", "seed", "same", "tested_by_trained",
)  # fmt: skip
"""Of trials.csv. Trials of one `group` differ in seed and fold alone (`configuration` is its name),
those of one `set` report the same units with the same baselines, those of one `block` have the same
seed and fold, those of one `partition` are folds of the same lesions, and those that are the `same`
differ in seed, fold and protocol alone."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file, so that the same report gives the same bytes."""


def write_package(
    target: Path,
    trials: Sequence[RecordedTrial],
    tables: Mapping[str, Table],
    pages: Mapping[str, bytes],
    tracking: TrackingConfig,
    choice: Choice,
) -> int:
    """Write the archive, whole or not at all; returns how many files it holds.

    Args:
        target: a `.zip` file.
        trials: those of the tables.
        tables: by their file names without an ending.
        pages: further files by path, as the page and its figures.
        tracking: the record.
        choice: how operating points in the tables were chosen.

    Raises UserError for another ending, and where it cannot be written.
    """
    if target.suffix.lower() != ".zip":
        raise UserError(f"package={target}: expected a name that ends in .zip")
    content = dict(_content(trials, tables, pages, tracking, choice))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    with refused_as(f"package={target}"), write_binary(target) as file:
        file.write(stream.getvalue())
    return len(content)


def _content(
    trials: Sequence[RecordedTrial],
    tables: Mapping[str, Table],
    pages: Mapping[str, bytes],
    tracking: TrackingConfig,
    choice: Choice,
) -> Iterator[tuple[str, bytes]]:
    yield "README.md", files(__package__).joinpath("README.md").read_bytes()
    yield "recompute.py", _SCRIPT.encode()
    for module in files(__package__).joinpath("recomputing").iterdir():
        if module.name.endswith(".py"):
            yield f"recomputing/{module.name}", module.read_bytes()
    yield "model_card.md", model_card(trials).encode()
    yield "checklist.md", checklist(trials).encode()
    yield "environment.txt", _environment().encode()
    yield "trials.csv", "".join(csv_text([_TRIAL_COLUMNS, *_trial_rows(trials, choice)])).encode()
    for name, table in tables.items():
        for ending, form in FORMATS.items():
            yield f"tables/{name}.{ending}", form(table).encode()
    paths = {path: name for trial in trials for path, name in named_paths(trial.params).items()}
    for name, data in pages.items():
        yield f"report/{name}", _without(paths, data) if name.endswith(".html") else data
    for trial in trials:
        yield from _files_of(trial, tracking)


def _trial_rows(trials: Sequence[RecordedTrial], choice: Choice) -> Iterator[tuple[str, ...]]:
    group, of_set, same = (
        {trial.run_id: str(number) for number, members in enumerate(parts) for trial in members}
        for parts in (
            [each.trials for each in configurations(trials)],
            by_split(trials),
            [*grouped(trials, apart_from_protocol).values()],
        )
    )
    for trial in trials:
        folds = fold = ""
        if trial.tags.get("mcalc.protocol") == "cv":
            folds, fold = (trial.params.get(f"protocol.{name}", "") for name in ("folds", "fold"))
        yield (
            trial.name, trial.run_id, trial.key, base_name(trial), unit_score(trial).value,
            choice.value, group[trial.run_id], of_set[trial.run_id],
            trial.tags.get("mcalc.split", ""), " ".join(block(trial)), " ".join(partition(trial)),
            folds, fold, trial.tags.get("mcalc.protocol", ""), trial.params.get("seed", ""),
            same[trial.run_id], repr(tested_by_trained(trial)),
        )  # fmt: skip


def _files_of(trial: RecordedTrial, tracking: TrackingConfig) -> Iterator[tuple[str, bytes]]:
    place = f"trials/{trial.run_id}"
    with run_folder(tracking, trial, (*OF_A_RUN, "config.yaml")) as folder:
        for name in OF_A_RUN:
            if (folder / name).is_file():
                yield f"{place}/{name}", (folder / name).read_bytes()
        if (folder / "config.yaml").is_file():
            text = (folder / "config.yaml").read_text(encoding="utf-8")
            yield f"{place}/config.yaml", without_places(text).encode()


def _without(paths: Mapping[str, str], page: bytes) -> bytes:
    """A page with the names of files in the place of their paths."""
    text = page.decode()
    for path, name in paths.items():
        text = text.replace(str(escape(path)), str(escape(name)))
    return text.encode()


def _environment() -> str:
    """Every installed package with its version, as `pip freeze` prints them."""
    found = {(each.metadata["Name"], each.version) for each in distributions()}
    lines = sorted(f"{name}=={version}" for name, version in found if name)
    return (
        f"# Python {platform.python_version()}, {platform.platform()}\n" + "\n".join(lines) + "\n"
    )
