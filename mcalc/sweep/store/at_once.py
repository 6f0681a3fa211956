"""Several facts of one attempt, written in one commit: Optuna makes one for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb.models import TrialIntermediateValueModel, TrialUserAttributeModel

_EVALUATIONS = TrialIntermediateValueModel
_ATTRIBUTES = TrialUserAttributeModel


def write_at_once(
    engine: sa.Engine,
    trial: int,
    attributes: Mapping[str, Any],
    evaluations: Mapping[int, float] | None = None,
) -> None:
    """Set attributes of an attempt that runs, and add those of its evaluations that it lacks.

    Args:
        engine: of Optuna's store.
        trial: the attempt's id there.
        attributes: by name, as JSON has them.
        evaluations: the figure at each, by its number from 1.
    """
    with engine.begin() as connection:
        if attributes:
            old = sa.and_(_ATTRIBUTES.trial_id == trial, _ATTRIBUTES.key.in_(list(attributes)))
            connection.execute(sa.delete(_ATTRIBUTES).where(old))
            rows = [
                {"trial_id": trial, "key": name, "value_json": json.dumps(value)}
                for name, value in attributes.items()
            ]
            connection.execute(sa.insert(_ATTRIBUTES), rows)
        if not evaluations:
            return
        query = sa.select(_EVALUATIONS.step).where(_EVALUATIONS.trial_id == trial)
        known = set(connection.scalars(query))
        new = []
        for step, value in evaluations.items():
            kept, kind = _EVALUATIONS.intermediate_value_to_stored_repr(value)
            new.append(
                {
                    "trial_id": trial,
                    "step": step,
                    "intermediate_value": kept,
                    "intermediate_value_type": kind,
                }
            )
        if new := [row for row in new if row["step"] not in known]:
            connection.execute(sa.insert(_EVALUATIONS), new)
