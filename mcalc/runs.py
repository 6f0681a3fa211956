"""The record for a notebook: trials as a table, and of each its predictions, settings, network.

    from mcalc import runs

    table = runs.table("mlruns")               # a row for each finished trial
    said = runs.predictions("AL3", "mlruns")   # lesion, patient, malignant, probability, log_odds
    runs.config("AL3", "mlruns").head.weight_lr
    network = runs.network("AL3", "mlruns")    # network.odds(images), network.classifier

In the place of the folder stands a server's address (`tracking.uri`), where one has the record.
A trial is named as for `python -m mcalc.predict`: by its name, `SWEEP/NAME`, or the id of its
MLflow run. Nothing is ever written but PyTorch's folder in the user's cache. docs/predict.md has an
example.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mcalc.config import Config, TrackingConfig
from mcalc.errors import UserError

if TYPE_CHECKING:  # seconds, for those who ask for nothing yet
    import pandas as pd

    from mcalc.predict.network import TrainedNetwork
    from mcalc.results import RecordedTrial

DIRECTORY = "mlruns"
"""Where a record lies unless one is named."""


def table(directory: str | os.PathLike[str] = DIRECTORY) -> pd.DataFrame:
    """All finished trials of a record, one row each, in the order in which they began.

    Columns: `run_id`, `name`, `sweep`, then settings (`head.weight_lr`, ...) and scores
    (`accuracy`, `auc_low`, ...), numbers as numbers. A run that a later one of the same trial
    replaced is absent.

    Raises UserError where nothing is recorded in the folder.
    """
    import pandas as pd

    from mcalc.tracking import finished_trials

    rows: list[dict[str, Any]] = [
        {
            "run_id": trial.run_id,
            "name": trial.name,
            "sweep": trial.tags.get("mcalc.sweep_id"),
            **{key: trial.param(key) for key in trial.params},
            **trial.metrics,
        }
        for trial in finished_trials(_record(directory))
    ]
    return pd.DataFrame(rows)


def predictions(trial: str, directory: str | os.PathLike[str] = DIRECTORY) -> pd.DataFrame:
    """What a trial's network said of the lesions reported, one row for each scoring unit.

    Columns: `lesion`, `patient`, `malignant` (0 or 1), `probability` (of malignant, 0..1),
    `log_odds`. Raises UserError where there is no such trial, or its file is gone.
    """
    import pandas as pd

    from mcalc.evaluation import odds_of
    from mcalc.tracking import with_results

    tracking = _record(directory)
    said = with_results(tracking, _find(trial, tracking)).predictions
    columns = {
        "lesion": said.ids,
        "patient": said.patients or [None] * len(said.ids),
        "malignant": said.labels,
        "probability": said.probabilities,
        "log_odds": odds_of(said),
    }
    return pd.DataFrame(columns)


def config(trial: str, directory: str | os.PathLike[str] = DIRECTORY) -> Config:
    """The settings of a trial as recorded.

    Raises UserError where there is no such trial, or its config.yaml and its run differ.
    """
    from mcalc.tracking import read_settings
    from mcalc.trials.recorded_settings import recorded_config

    tracking = _record(directory)
    found = _find(trial, tracking)
    return recorded_config(Config(), (), read_settings(tracking, found), found)


def network(trial: str, directory: str | os.PathLike[str] = DIRECTORY) -> TrainedNetwork:
    """A trial's network, ready to look at prepared images (n, S, S), grey 0..255.

    Raises UserError where there is no such trial, or it kept no network.
    """
    from dataclasses import replace

    from mcalc.user_cache import keep_compiled_here

    keep_compiled_here()  # before PyTorch is imported, which makes a folder
    from mcalc.predict.network import open_network

    return open_network(replace(Config(), tracking=_record(directory)), (), trial)


def _record(directory: str | os.PathLike[str]) -> TrackingConfig:
    if not isinstance(directory, (str, os.PathLike)):
        raise UserError(f"{directory!r} is not the folder of a record: expected a path as 'mlruns'")
    place = os.fspath(directory)
    # as `tracking.uri`: a server's address, or a database's
    return TrackingConfig(uri=place) if "://" in place else TrackingConfig(dir=place)


def _find(trial: str, tracking: TrackingConfig) -> RecordedTrial:
    from mcalc.tracking import find_trial

    if not isinstance(trial, str):
        raise UserError(f"{trial!r} names no trial: expected a name, SWEEP/NAME or a run's id")

    return find_trial(tracking, trial, "trial")
