"""Files that a sweep's command line names, looked at before Hydra composes and data are indexed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcalc.config import WEIGHT_SUFFIXES
from mcalc.config.compose import parse_overrides
from mcalc.models import weight_path
from mcalc.sweep.planning.plan import sweep_names, values_of
from mcalc.sweep.planning.sweep_file import find
from mcalc.sweep.planning.values import unquoted


def check_named_files(arguments: Sequence[str]) -> None:
    """Raise UserError, as `find` and `weight_path`, for a sweep or a weight file that is not there.

    A plan would say so too, but needs the data first, and indexing them may take minutes. Files are
    not read here: one of a hundred thousand rows takes seconds.
    """
    for override in parse_overrides(arguments):
        key = override.get_key_element()
        if key == "sweep":
            for name in sweep_names(override):
                find(name)
        elif key == "backbone.weights" and not override.is_interval_sweep():
            swept = override.is_sweep_override()
            for each in values_of(override) if swept else [unquoted(override.value())]:
                if Path(str(each)).suffix.lower() in WEIGHT_SUFFIXES:
                    weight_path(str(each), "")
