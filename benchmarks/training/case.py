"""One measurement in a process of its own: `python -m benchmarks.training.case peer '{...}'`."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings

from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload


def main(kind: str, workload: str) -> None:
    """Run and print the times as a line of JSON."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    watch = Stopwatch()
    importlib.import_module(f"benchmarks.training.{kind}").run(
        Workload(**json.loads(workload)), watch
    )
    print(json.dumps(watch.result()))


if __name__ == "__main__":
    main(*sys.argv[1:])
