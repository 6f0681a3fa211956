"""What `mlflow models serve` runs: images in base64 in, probabilities out.

Logged as this text (MLflow's "models from code"), beside plain tensors: no pickle is written or
read.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mcalc.errors import UserError
from mcalc.predict.bundle import read_bundle
from mcalc.predict.images import prepare_files
from mcalc.predict.predicting import alone, rows_of
from mcalc.predict.table import column_names
from mcalc.serving.places import BUNDLE, COLUMN


class ServedNetwork(PythonModel):
    """A network of the record behind MLflow's `predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the tensors, once."""
        self.ensemble = alone(*read_bundle(Path(context.artifacts[BUNDLE])))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """A row for each row of the input, whose column `image` is a file in base64.

        Columns as those of `python -m mcalc.predict`. What is no image is refused in its row.
        """
        del context, params
        if COLUMN not in model_input.columns:
            raise UserError(
                f"expected a column {COLUMN!r} of DICOM, JPEG or PNG files in base64, not "
                f"{', '.join(map(str, model_input.columns)) or 'nothing'}"
            )
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for place, text in enumerate(model_input[COLUMN]):
                path = Path(folder) / f"image-{place}"
                path.write_bytes(_decoded(text))
                files.append((f"image {place}", path))
            (network,) = self.ensemble.networks
            images = prepare_files(files, network.size, network.config.data)
            # of no image nothing is said; a network cannot look at nothing
            rows = [asdict(row) for row in rows_of(self.ensemble, [images])] if images else []
        for row in rows:
            row["flags"] = "; ".join(row["flags"])
            if row["refused"]:
                # the folder is gone, and was nobody's
                row["refused"] = row["refused"].replace(f"{Path(folder).name}/image-", "image ")
        # objects, as numbers would turn what is missing into nan, which JSON does not have
        return pd.DataFrame(rows, columns=column_names(labelled=False), dtype=object)


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""  # refused in its row, as empty


mlflow.models.set_model(ServedNetwork())
