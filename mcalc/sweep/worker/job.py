"""What a worker does: claim a training run, run its trials, tell the study.

A worker trusts the store alone: several of them, in one process or on many machines, may be given
the same work, and one of them does it.
"""

from __future__ import annotations

import json

from mcalc.config.schema import Config
from mcalc.config.trial import plan_trial, with_patience
from mcalc.errors import UserError
from mcalc.results import Outcome
from mcalc.sweep.worker.context import Workplace
from mcalc.sweep.worker.explicit import Rows
from mcalc.sweep.worker.search import SearchStep


def run_job(config: Config, place: Workplace | None = None) -> list[Outcome]:
    """Run what `config.job` says: the trials of one training run, or a search's next one.

    Trials that another worker runs come back as `left`, those that are done as `skipped`; a search
    whose budget is used up gives none.
    """
    if config.job.sweep is None:
        raise UserError("job.sweep is set by the sweep engine alone: start a sweep with -m")
    place = place or Workplace(config, config.job.sweep)
    if config.job.trials:
        fingerprint = place.data(config).fingerprint
        trials = [
            plan_trial(
                spec.name,
                with_patience(config, spec.patience),
                fingerprint,
                json.loads(spec.values),
            )
            for spec in config.job.trials
        ]
        return Rows(place, trials).run()
    return SearchStep(place, config).run()
