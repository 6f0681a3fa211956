"""A plan beside what its record holds already: to go on from it, or to show it alone."""

from __future__ import annotations

import logging

from mcalc.data import DataCache
from mcalc.sweep.display import StepProcess, dry_run
from mcalc.sweep.planning import Compose, Plan
from mcalc.sweep.store import (
    Halts,
    Storage,
    SweepStudy,
    beside_older,
    exists,
    rehearse,
    say_older,
    storage_url,
)
from mcalc.trials import raise_disk_full

_log = logging.getLogger(__name__)


def show_plan(plan: Plan, compose: Compose, data: DataCache, steps: StepProcess) -> None:
    """Print what a plan would do, how long it takes and what it leaves on the disk.

    `steps` measures training steps whose speed is not known.

    Raises UserError where running it would be refused for want of weights.
    """
    study = None
    if plan.search:
        rehearse(plan.title, plan.search)
    if exists(plan.base):
        storage = open_storage(plan)
        plan = beside_recorded(plan, storage)
        study = SweepStudy.find(storage, plan.sweep)
        if study and (halt := Halts(storage, plan.sweep).now()):
            _log.warning(str(halt.error()))
    dry_run(plan, compose, study, data, steps.measured)


def open_storage(plan: Plan) -> Storage:
    """The database that holds the sweep of a plan. Raises UserError."""
    with raise_disk_full(plan.base):
        return Storage(storage_url(plan.base), plan.base.storage_wait)


def beside_recorded(plan: Plan, storage: Storage) -> Plan:
    """The plan as what is recorded continues, or beside an older sweep of its title."""
    study = SweepStudy.find(storage, plan.sweep)
    if study:
        return beside_older(plan, study.facts(), study.numerics())
    if plan.automatic:
        others = SweepStudy.all_beginning(storage, f"{plan.title}-")
        say_older(plan, {each.name: (each.facts(), each.numerics()) for each in others})
    return plan
