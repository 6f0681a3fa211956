"""Pause, cancel and resume sweeps that workers anywhere run."""

from __future__ import annotations

from collections.abc import Iterator

from optuna.trial import FrozenTrial

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.store import (
    DEFINITION,
    HaltKind,
    Halts,
    Jobs,
    Leases,
    Owner,
    Storage,
    SweepStudy,
    run_ids,
    trajectory_of,
)
from mcalc.sweep.worker import close_cancelled, work_of
from mcalc.tracking import Tracker, interrupt
from mcalc.trials import open_tracker

_AGAIN = "give the command that started it again, on any machine: it resumes from the checkpoints"


def pause(config: Config, line: Line) -> int:
    """Let every worker stop on a checkpoint; records and waiting jobs stay as they are."""
    for storage, study, halts in _named(config, line):
        halts.halt(HaltKind.paused)
        console.print(f"{study.name} is paused; `python -m mcalc.sweep resume {study.name}` lifts")
        _say_who_works(Leases(storage, study.name))
    return 0


def cancel(config: Config, line: Line) -> int:
    """As pause, but open runs are closed as interrupted, and waiting jobs are deleted."""
    tracker = open_tracker(config)
    for storage, study, halts in _named(config, line):
        halts.halt(HaltKind.cancelled)
        jobs = Jobs(storage).remove_all(study.name)
        leases = Leases(storage, study.name)
        closed = sum(_close(study, tracker, leases, each) for each in study.running())
        console.print(
            f"{study.name} is cancelled: {closed} open trials closed as interrupted, {jobs} "
            f"waiting jobs deleted; `python -m mcalc.sweep resume {study.name}` lets it go on"
        )
        _say_who_works(leases)
    return 0


def resume(config: Config, line: Line) -> int:
    """Lift what pause or cancel did."""
    for _, study, halts in _named(config, line):
        halt = halts.now()
        if halt is None:
            console.print(f"{study.name} is not paused: {_AGAIN}")
        elif halt.kind is HaltKind.removed:
            raise halt.error()
        else:
            halts.lift()
            console.print(f"{study.name} may go on: {_AGAIN}")
    return 0


def _named(config: Config, line: Line) -> Iterator[tuple[Storage, SweepStudy, Halts]]:
    storage, studies = open_sweeps(config, line.names)
    for study in studies:
        halts = Halts(storage, study.name)
        halt = halts.now()
        if halt and halt.kind is HaltKind.removed and line.action != "resume":
            raise halt.error()
        yield storage, study, halts


def _say_who_works(leases: Leases) -> None:
    for owner in sorted({str(owner) for owner in leases.owners().values()}):
        console.print(f"  {owner} works at it: it stops after its next evaluation")


def _close(study: SweepStudy, tracker: Tracker, leases: Leases, attempt: FrozenTrial) -> bool:
    """Close an attempt that no living worker has; False where one has, which closes it itself."""
    searched = DEFINITION in study.facts()
    work = work_of(attempt.number) if searched else trajectory_of(attempt)
    why = "cancelled with `python -m mcalc.sweep cancel`"
    with leases.acquire(work) as held:
        if isinstance(held, Owner) or not study.is_running(attempt.number):
            return False
        for run_id in run_ids(attempt):
            interrupt(tracker, run_id, why)
        # a configuration stays Optuna's running one: it could not be resumed as another, and its
        # budget would be spent
        if not searched:
            name = str(attempt.user_attrs.get("name"))
            close_cancelled(study, name, attempt.number, why)
    return True
