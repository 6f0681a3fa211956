"""What a command says at its end: where the record is, and what to do next."""

from __future__ import annotations

import shlex

from mcalc.config.record import TrackingConfig
from mcalc.errors import without_password


def place_of(tracking: TrackingConfig) -> str:
    """Where the record is."""
    return without_password(tracking.uri) if tracking.uri else tracking.dir


def place_setting(tracking: TrackingConfig) -> str:
    """The setting that names the record, with a space before it; nothing for the default."""
    if tracking.uri:
        return f" tracking.uri={shlex.quote(without_password(tracking.uri))}"
    if tracking.dir == TrackingConfig().dir:
        return ""
    return f" {shlex.quote(f'tracking.dir={tracking.dir}')}"


def how_to_look(tracking: TrackingConfig) -> str:
    """The command that opens MLflow's page over the record; of a server its address."""
    if tracking.uri:
        return f"open {without_password(tracking.uri)}"
    if tracking.dir == TrackingConfig().dir:
        return "make ui"
    return f"make ui {shlex.quote(f'RUNS={tracking.dir}')}"


def after_training(tracking: TrackingConfig) -> str:
    """What to do with what was recorded."""
    report = f"python -m mcalc.report{place_setting(tracking)}"
    return f"next: `{report}`, or `{how_to_look(tracking)}`"


def after_report(page: str, tracking: TrackingConfig) -> str:
    """What to do with a report, and with the record that it is of."""
    return f"next: open {page} in a browser, or `{how_to_look(tracking)}`"
