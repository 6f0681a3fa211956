"""MLflow's registry of models: versions that are made of trials, and the way back to them."""

from __future__ import annotations

import re
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.atomic_write import make_record_folder
from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.results import RecordedTrial
from mcalc.tracking.opening import open_record
from mcalc.tracking.reader import reading_client

MODEL_ADDRESS = "models:/"
"""How a registered model is named: `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""
_FOLDER = "model"
"""Of the model among the artifacts of its run."""
_TRIAL_TAG = "mcalc.trial_run"
"""Of a version and of its run: the run of the trial whose network it is."""


def register_model(
    tracking: TrackingConfig, trial: RecordedTrial, model: Path, name: str, alias: str
) -> tuple[str, str]:
    """Log a saved model in a run of its own, as the newest version of `name`.

    The trial's run stays as it is, so that it can be checked against what it was.

    Returns:
        The id of the new run, and the version.

    Raises UserError where the registry takes neither name nor alias.
    """
    directory = Path(tracking.dir)
    make_record_folder(directory)
    client, experiment = open_record(directory, tracking.experiment, tracking.uri, 0.0)
    tags = {"mcalc.kind": "model", _TRIAL_TAG: trial.run_id, "mlflow.user": "mcalc"}
    try:
        _create(client, name)
        run = client.create_run(experiment, run_name=f"{name} from {trial.name}", tags=tags)
        run_id = str(run.info.run_id)
        client.log_artifacts(run_id, str(model), _FOLDER)
        client.set_terminated(run_id)
        made: ModelVersion = client.create_model_version(
            name, source=f"runs:/{run_id}/{_FOLDER}", run_id=run_id, tags={_TRIAL_TAG: trial.run_id}
        )
        if alias:
            client.set_registered_model_alias(name, alias, str(made.version))
    except MlflowException as error:
        raise UserError(
            f"registry={name} alias={alias or 'none'}: MLflow's registry refuses it "
            f"({error.message}): choose another name"
        ) from error
    return run_id, str(made.version)


def _create(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def trial_of_model(tracking: TrackingConfig, address: str) -> str:
    """The run id of the trial whose network a registered model is.

    Raises UserError for an address that names none, and for a model that mcalc did not register.
    """
    name, at, alias = address.removeprefix(MODEL_ADDRESS).partition("@")
    expected = f"expected {MODEL_ADDRESS}NAME@ALIAS or {MODEL_ADDRESS}NAME/VERSION"
    if not at and not re.fullmatch(r".+/[0-9]+", name):
        raise UserError(f"run={address} names no version of a registered model: {expected}")
    client = reading_client(tracking)
    try:
        if client is None:
            raise MlflowException("nothing is recorded there")
        if at:
            version = client.get_model_version_by_alias(name, alias)
        else:
            name, _, number = name.rpartition("/")
            version = client.get_model_version(name, number)
    except MlflowException as error:
        raise UserError(
            f"run={address} names no registered model ({error.message}): {expected}"
        ) from error
    run_id = version.tags.get(_TRIAL_TAG)
    if not run_id:
        raise UserError(f"run={address} is a model that mcalc did not register")
    return str(run_id)
