"""A sweep's table of results beside its run in MLflow, written while trials finish."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from mcalc.config import TrackingConfig, how_to_look
from mcalc.errors import UserError, without_password
from mcalc.sweep.display.results import as_markdown, results_of
from mcalc.sweep.planning import Plan
from mcalc.sweep.store import SweepStudy

_SECONDS = 10.0
"""Between two writings: making the table takes the longer, the more trials there are."""


class LiveNote:
    """Writes the table of a sweep now and then."""

    def __init__(self, plan: Plan, study: SweepStudy, write: Callable[[str], None]) -> None:
        """`write` keeps a text in Markdown with the sweep's run."""
        self._plan = plan
        self._study = study
        self._write = write
        self._written = ""
        self._next = 0.0
        self._lock = threading.Lock()

    def update(self, *, last: bool = False) -> None:
        """Write what there is now, unless that was done a moment ago; `last`: whenever it was."""
        with self._lock:
            if not last and time.monotonic() < self._next:
                return
            # the table alone is not worth an error: the trials are recorded
            with suppress(UserError):
                text = note_of(self._plan, self._study)
                if text != self._written:
                    self._write(text)
                    self._written = text
            self._next = time.monotonic() + _SECONDS


def note_of(plan: Plan, study: SweepStudy) -> str:
    """Description and results of a sweep, in Markdown."""
    results = results_of(plan, study)
    description = f"{plan.description}\n\n" if plan.description else ""
    return f"{description}Results, {results.order}:\n\n{as_markdown(results)}\n"


def pointer_to_mlflow(plan: Plan, tracking: TrackingConfig, experiment: str, run: str) -> str:
    """What optuna-dashboard says of a sweep: its description, and where its trials are in full."""
    served = without_password(tracking.uri) if tracking.uri else "http://127.0.0.1:5000"
    page = f"{served}/#/experiments/{experiment}/runs/{run}"
    how = "" if tracking.uri else f" (after `{how_to_look(tracking)}`, on its default port)"
    return f"{plan.description}\n\nCurves, files and pictures of the trials: [MLflow]({page}){how}"
