"""What a worker does: acquire a training run, run its trials, report to the study.

A worker trusts the store alone: several of them, in one process or on many machines, may be given
the same work, and one of them does it.
"""

from __future__ import annotations

from mcalc.results import Outcome
from mcalc.sweep.store import Job
from mcalc.sweep.worker.context import WorkerContext
from mcalc.sweep.worker.explicit import Rows
from mcalc.sweep.worker.search import SearchStep
from mcalc.training import refuse_precision


def run_job(job: Job, context: WorkerContext) -> list[Outcome]:
    """Run the trials of one training run, or a search's next configuration.

    Trials that another worker runs come back as `left`, those that are done as `skipped`. A search
    whose budget is used up gives none.

    Raises StoppedError where the sweep is paused or cancelled, and UserError where this machine
    cannot compute as was planned; nothing is begun then.
    """
    context.halts.check()
    if job.trials:
        refuse_precision(job.trials[0].config.trainer)
        return Rows(context, job).run()
    return SearchStep(context, job).run()
