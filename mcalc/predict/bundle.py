"""A trained network as a folder that needs no record: plain tensors, and a text that says the rest.

`network.npz` holds the tensors as numpy arrays (no pickle), `about.json` settings, operating point,
temperature and the range of inputs.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcalc.config import Config
from mcalc.data.images import InputRange
from mcalc.data.splits import class_count
from mcalc.errors import UserError
from mcalc.evaluation import Decision
from mcalc.models import filled
from mcalc.predict.network import TrainedNetwork, assembled, setup_here
from mcalc.report.package.settings import params_without_places, without_places
from mcalc.results import RecordedTrial
from mcalc.trials.artifacts import config_yaml
from mcalc.trials.recorded_settings import recorded_config

TENSORS, ABOUT = "network.npz", "about.json"
FORMAT = 1
_TAGS = ("mcalc.data", "mcalc.precision", "mcalc.warnings", "mcalc.weights", "mcalc.fingerprint")
"""Tags of the run that go along."""


def write_bundle(folder: Path, network: TrainedNetwork, decision: Decision) -> None:
    """Write the two files into an existing folder."""
    state = network.classifier.model.state_dict()
    arrays = {name: value.cpu().numpy() for name, value in state.items()}
    np.savez(folder / TENSORS, **arrays)
    (folder / ABOUT).write_text(json.dumps(about(network, decision), indent=1), encoding="utf-8")


def about(network: TrainedNetwork, decision: Decision) -> dict[str, Any]:
    """What `about.json` says; no path of the machine that trained it."""
    trial = network.trial
    return {
        "format": FORMAT,
        "name": trial.name,
        "run_id": trial.run_id,
        "config": without_places(config_yaml(replace(network.config, from_run=None))),
        "params": params_without_places(trial.params),
        "tags": {name: trial.tags[name] for name in _TAGS if name in trial.tags},
        "threshold_log_odds": _plain(decision.threshold),
        "temperature": _plain(decision.temperature),
        "inputs": None if network.inputs is None else json.loads(network.inputs.as_json()),
    }


def read_bundle(folder: Path) -> tuple[TrainedNetwork, Decision]:
    """The network of a folder and what its record had fixed for it.

    Raises UserError for files that are missing or damaged, or of a newer format.
    """
    try:
        said = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if said["format"] > FORMAT:
            raise UserError(
                f"{folder} has the format {said['format']}, but this mcalc reads formats up to "
                f"{FORMAT}: use the version of mcalc that wrote it, or a newer one"
            )
        with np.load(folder / TENSORS, allow_pickle=False) as arrays:
            state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        inputs = (
            None if said["inputs"] is None else InputRange.from_json(json.dumps(said["inputs"]))
        )
        trial = RecordedTrial(
            said["run_id"], said["name"], "finished", said["params"], {}, said["tags"]
        )
        decision = Decision(_number(said["threshold_log_odds"]), _number(said["temperature"]))
        text = str(said["config"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder} is not a network that mcalc wrote, or is damaged ({error}): expected "
            f"{ABOUT} and {TENSORS}; export it again"
        ) from error
    present = Config()
    config = recorded_config(present, (), text, trial)
    built = filled(state, config.backbone.name, class_count(config.data), str(folder / TENSORS))
    setup, notes = setup_here(present, trial)
    return assembled(trial, config, built, setup, inputs, None, notes), decision


def _plain(value: float) -> float | str | None:
    """A number as JSON has it; nan is null."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
