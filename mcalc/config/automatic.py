"""Settings of how a trial is computed that may be left to the hardware: `auto`.

`auto` is resolved once, by the process that plans, from what its hardware can compute and never
from how fast it is (`mcalc.training.device.resolved`). Keys, plans, jobs and records hold what it
came to, so that one trial has the same numbers on every machine that runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AUTO = "auto"
AUTOMATIC = {
    "trainer.precision": "fp32",
    "trainer.channels_last": False,
    "augment.place": "cpu",
}
"""Settings that take `auto`, with their defaults in records of before it."""


def automatic(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of `{"trainer.precision": "auto", ...}` are left to the hardware."""
    return tuple(key for key in AUTOMATIC if settings.get(key) == AUTO)


def check_resolved(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for settings that are `auto`: they would be one trial of two numbers."""
    if left := automatic(settings):
        raise ValueError(f"{', '.join(left)}: auto has to be resolved before a trial is planned")
