"""MLflow's page over a record, as `make ui` opens it.

    python -m mcalc.tracking.page FOLDER PORT

The record is opened for writing first: MLflow itself would look for the files of a moved one where
it was.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcalc.errors import UserError, exit_on_user_error
from mcalc.tracking.opening import open_record
from mcalc.tracking.places import database_of, database_uri

_EXPERIMENT = "mcalc"


def main() -> None:
    """Become MLflow's server. Exit status 2 where there is no record."""
    with exit_on_user_error():
        folder, port = Path(sys.argv[1]), sys.argv[2]
        if not database_of(folder).exists():
            raise UserError(
                f"nothing is recorded in {folder}: name another folder with RUNS=FOLDER"
            )
        _, experiment = open_record(folder, _EXPERIMENT, None, 0.0)
        place = f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs"
        print(f"open {place}?workflowType=machine_learning", flush=True)
    # MLflow's jobs judge language models: seven more processes, which a record has no use for
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = ["server", "--backend-store-uri", database_uri(folder), "--host", "127.0.0.1"]
    os.execv(
        sys.executable,
        [sys.executable, "-m", "mlflow", *server, "--port", port, "--workers", "1"],
    )


if __name__ == "__main__":
    main()
