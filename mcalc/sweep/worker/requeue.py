"""Puts a job of Submitit back into its queue, once its work stands on a checkpoint.

Submitit's own handler does so at the very instant of the signal, before a checkpoint is written;
and Slurm ends a job that is put back. So its signal is taken first, and passed on afterwards.
"""

from __future__ import annotations

import logging
import os
import signal

_log = logging.getLogger(__name__)


def requeue_submitit(number: int) -> None:
    """Let Submitit put this job back into its queue, which ends the process.

    Returns where nothing is put back: this is no job of Submitit, its time limit was reached as
    often as `max_num_timeout` allows, or the signal was SIGTERM. Slurm sends that when it puts a
    job back itself, and for a job that was cancelled.
    """
    if "SUBMITIT_EXECUTOR" not in os.environ or number == signal.SIGTERM:
        return
    # late: an installation without Submitit has no such jobs
    from submitit.core.utils import UncompletedJobError

    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    handler = signal.getsignal(signal.Signals[f"SIG{name}"])
    if not callable(handler):
        return
    try:
        handler(number, None)
    except UncompletedJobError as error:
        _log.warning(f"  {error} The command that started the sweep gives its work to a new job")
