"""`python -m mcalc.predict`: what can be said before anything large is imported, then the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcalc.atomic_write import refused_as, try_place
from mcalc.config import Line
from mcalc.errors import UserError
from mcalc.tracking.places import refuse_nothing


def run(line: Line) -> int:
    """Predict and write a table; returns the exit status, 1 where an image could not be used.

    Raises UserError for a mistake in the words, and as `predict_images`.
    """
    words = line.words
    if not words["run"]:
        raise UserError(
            "run=NAME names the trained network, as in run=AL3, run=alexnet/AL3 or the id of its "
            "MLflow run (`python -m mcalc.sweep list` shows sweeps)"
        )
    given = {override.partition("=")[0] for override in line.overrides}
    names_data = bool(given & {"data", "data.source", "data.root"})
    if not words["input"] and not names_data:
        raise UserError(
            "input=PATH names the images, as input=image.dcm or a folder; or name a data set with "
            "labels, as data=cmmd data.root=PATH"
        )
    if words["input"] and names_data:
        raise UserError("input= and data= both name images: give one of them")
    paths = input_paths(words["input"] or "")
    for path in paths:
        if not _is_there(path):
            raise UserError(
                f"input={path} does not exist: name a DICOM, JPEG or PNG file, or a folder of them"
            )
    if words["labels"] and not (len(paths) == 1 and Path(paths[0]).expanduser().is_dir()):
        raise UserError(
            "labels= describes the images of one folder, by paths relative to it: name it with "
            "input=FOLDER"
        )
    if words["output"] == "dicom" and not words["to"]:
        raise UserError(
            "output=dicom writes two files for each image: name a folder with to=FOLDER"
        )
    config = line.config()
    refuse_nothing(config.tracking)
    _try_places(words)
    # late: PyTorch and MLflow, which take seconds
    from mcalc.predict.predicting import predict_images

    return predict_images(config, given, words)


def _try_places(words: Mapping[str, Any]) -> None:
    """Raise UserError for a place that nothing can be written to, before anything is computed."""
    if words["to"]:
        folder = words["output"] == "dicom"
        with refused_as(f"to={words['to']}", f"name a {'folder' if folder else 'file'}"):
            try_place(words["to"], folder=folder)
    if words["heat_maps"]:
        with refused_as(f"heat_maps={words['heat_maps']}", "name a folder"):
            try_place(words["heat_maps"], folder=True)


def input_paths(text: str) -> list[str]:
    """The paths that a user named, divided by commas; a path that exists may hold one."""
    if not text or _is_there(text):
        return [text] if text else []
    return text.split(",")


def _is_there(path: str) -> bool:
    """Whether it exists; no for what can be no path, as many paths in one text.

    Raises PermissionError where this user may not look.
    """
    try:
        return Path(path).expanduser().exists()
    except PermissionError:
        raise
    except OSError:
        return False
