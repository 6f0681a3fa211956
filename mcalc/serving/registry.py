"""A trained network as a version of a model in MLflow's registry."""

from __future__ import annotations

import base64
import io
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from PIL import Image

from mcalc.config import TrackingConfig
from mcalc.evaluation import Decision
from mcalc.predict.bundle import write_bundle
from mcalc.predict.network import TrainedNetwork
from mcalc.serving.places import BUNDLE, COLUMN
from mcalc.tracking import register_model

_OUTPUTS = {
    "id": DataType.string,
    "probability": DataType.double,
    "calibrated_probability": DataType.double,
    "log_odds": DataType.double,
    "called": DataType.string,
    "threshold": DataType.double,
    "flags": DataType.string,
    "refused": DataType.string,
}


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str
    """The run that holds its files."""


def register(
    tracking: TrackingConfig, network: TrainedNetwork, decision: Decision, name: str, alias: str
) -> Registered:
    """Log the network as a model and make it the newest version of `name`.

    `alias`: a name for this version alone; empty for none.

    Raises UserError as `register_model`.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle, model = Path(folder) / BUNDLE, Path(folder) / "model"
        bundle.mkdir()
        write_bundle(bundle, network, decision)
        mlflow.pyfunc.save_model(
            path=str(model),
            python_model=str(Path(__file__).with_name("model.py")),
            artifacts={BUNDLE: str(bundle)},
            signature=signature(),
            input_example=example(network.size),
            pip_requirements=[f"mcalc=={version('mcalc')}"],
        )
        run_id, number = register_model(tracking, network.trial, model, name, alias)
    return Registered(name, number, run_id)


def signature() -> ModelSignature:
    """What the model takes and gives."""
    inputs = Schema([ColSpec(DataType.string, COLUMN)])
    outputs = Schema(
        [ColSpec(kind, name, required=name == "id") for name, kind in _OUTPUTS.items()]
    )
    return ModelSignature(inputs, outputs)


def example(size: int) -> pd.DataFrame:
    """One image in base64: grey noise, of the network's own size."""
    noise = np.random.default_rng(0).integers(60, 200, (size, size), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format="png")
    return pd.DataFrame({COLUMN: [base64.b64encode(stream.getvalue()).decode("ascii")]})
