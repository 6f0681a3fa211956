"""MLflow's page over a record, as `make ui` opens it.

    python -m mcalc.tracking.page FOLDER PORT

The record is opened for writing first: MLflow itself would look for the files of a moved one where
it was.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.errors import UserError, exit_on_user_error, nearest
from mcalc.local_port import check_port
from mcalc.tracking.places import DATABASE, database_of, database_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def main() -> None:
    """Become MLflow's server. Exit status 2 where there is no record, or the port is taken."""
    with exit_on_user_error():
        folder, port = Path(sys.argv[1]), sys.argv[2]
        # MLflow would say so last, behind the address, and with status 0
        check_port(port, "PORT")
        if not database_of(folder).exists():
            raise _nothing_in(folder)
        # late: MLflow
        from mcalc.tracking.opening import open_existing
        from mcalc.tracking.view import KEY, write_view

        client = open_existing(folder)
        experiment = _newest_experiment(client)
        if experiment is None:
            raise _nothing_in(folder)
        write_view(client, experiment)
        place = f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs"
        print(f"open {place}?workflowType=machine_learning&viewStateShareKey={KEY}", flush=True)
    # MLflow's jobs judge language models: seven more processes, which a record has no use for
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = ["server", "--backend-store-uri", database_uri(folder), "--host", "127.0.0.1"]
    os.execv(
        sys.executable,
        [sys.executable, "-m", "mlflow", *server, "--port", port, "--workers", "1"],
    )


def _newest_experiment(client: MlflowClient) -> str | None:
    """The experiment with the newest run; None where nothing is recorded."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    newest = client.search_runs(experiments, max_results=1, order_by=["attributes.start_time DESC"])
    return str(newest[0].info.experiment_id) if newest else None


def _nothing_in(folder: Path) -> UserError:
    """The error for a folder without a record, which names the records that are near it."""
    beside = sorted({folder.absolute().parent, Path.cwd()})
    found = {file.parent for place in beside for file in place.glob(f"*/{DATABASE}")}
    names = {_as_given(each, folder): each for each in found}
    there = f" (recorded: {', '.join(sorted(names))})" if names else ""
    return UserError(
        f"nothing is recorded in {folder}{nearest(str(folder), names)}{there}: name the folder of "
        "a record with RUNS=FOLDER"
    )


def _as_given(place: Path, folder: Path) -> str:
    """A folder as a user would name it beside the one that was named."""
    if place.parent == Path.cwd():
        return place.name
    return str(folder.parent / place.name)


if __name__ == "__main__":
    main()
