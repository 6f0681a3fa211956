"""What a worker does: acquire a training run, run its trials, report to the study.

A worker trusts the store alone: several of them, in one process or on many machines, may be given
the same work, and one of them does it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcalc.sweep.store import Job
from mcalc.sweep.worker.context import WorkerContext
from mcalc.sweep.worker.explicit import Rows
from mcalc.sweep.worker.search import SearchStep
from mcalc.training import Listener, refuse_precision
from mcalc.trials import Work


def run_job(job: Job, context: WorkerContext, listeners: Sequence[Listener] = ()) -> Work:
    """Run the trials of one training run, or a search's next configuration.

    Trials that another worker runs come back as `left`, those that are done as `skipped`. A search
    whose budget is used up gives none. `listeners`: of the training of explicit trials.

    Raises StoppedError where the sweep is paused or cancelled, and UserError where this machine
    cannot compute as was planned; nothing is begun then.
    """
    context.halts.check()
    if job.trials:
        refuse_precision(job.trials[0].config.trainer)
        return (yield from Rows(context, job, listeners).run())
    return SearchStep(context, job).run()
