"""Files that a sweep's command line names, looked at before Hydra composes and data are indexed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcalc.config import WEIGHT_SUFFIXES
from mcalc.config.compose import parse_overrides
from mcalc.models import weight_path
from mcalc.sweep.planning.plan import sweep_names, values_of
from mcalc.sweep.planning.sweep_file import load
from mcalc.sweep.planning.values import unquoted


def check_named_files(arguments: Sequence[str]) -> None:
    """Raise UserError, as `load` and `weight_path`, for a sweep or a weight file that is not there.

    A plan, which needs to know the data, is made after minutes where they are indexed first.
    """
    for override in parse_overrides(arguments):
        key = override.get_key_element()
        if key == "sweep":
            for name in sweep_names(override):
                load(name)
        elif key == "backbone.weights" and not override.is_interval_sweep():
            swept = override.is_sweep_override()
            for each in values_of(override) if swept else [unquoted(override.value())]:
                if Path(str(each)).suffix.lower() in WEIGHT_SUFFIXES:
                    weight_path(str(each), "")
