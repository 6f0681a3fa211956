"""Close the run of a trial whose worker has ended, and whose sweep was cancelled."""

from __future__ import annotations

from mcalc.tracking.run_writer import mark_unfinished
from mcalc.tracking.tracker import Tracker


def interrupt(tracker: Tracker, run_id: str, why: str) -> None:
    """Close an open run as interrupted; nothing happens to one that has ended."""
    kept = {str(run.info.run_id) for run in tracker.unsent.runs()}
    run = tracker.run(run_id)
    # what a server did not take stays open: a worker that resumes it begins it anew
    if run is None or run.state != "running" or run.run_id in kept:
        return
    mark_unfinished(tracker.client, run.run_id, why, "interrupted")
    tracker.client.set_terminated(run.run_id, "KILLED")
