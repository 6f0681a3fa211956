"""optuna-dashboard over a store, as `make dashboard` opens it.

    python -m mcalc.sweep.dashboard STORE PORT

A store that is not there is said: optuna-dashboard itself would make an empty one.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

from mcalc.errors import UserError, exit_on_user_error, without_password
from mcalc.local_port import check_port
from mcalc.sqlite_file import file_of

_PROGRAM = "optuna-dashboard"


def main() -> None:
    """Become optuna-dashboard. Exit status 2 where there is no store, or the port is taken."""
    store, port = sys.argv[1:]
    with exit_on_user_error():
        check_port(port, "DASHBOARD_PORT")
        _check(store)
    print(f"open http://127.0.0.1:{port}/dashboard/", flush=True)
    sys.argv = [_PROGRAM, store, "--host", "127.0.0.1", "--port", port]
    (program,) = entry_points(group="console_scripts", name=_PROGRAM)
    program.load()()


def _check(store: str) -> None:
    """Raise UserError for a file that is not there; a server is asked by optuna-dashboard."""
    # late: a port that is taken is said without
    from sqlalchemy.exc import ArgumentError

    try:
        file = file_of(store)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"STORAGE={without_password(store)} is not an address of a store: expected "
            "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from error
    if file is None or file.is_file():
        return
    found = sorted({str(each) for each in Path.cwd().glob("*/optuna.db")})
    there = [f"RUNS={Path(each).parent.name}" for each in found]
    raise UserError(
        f"no sweep is recorded in {file}: name the folder of a record with RUNS=FOLDER"
        + (f" (recorded here: {', '.join(there)})" if there else "")
    )


if __name__ == "__main__":
    main()
