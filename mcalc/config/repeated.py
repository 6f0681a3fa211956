"""What makes repetitions of one configuration: seeds and folds."""

from __future__ import annotations

import re

REPEATED = ("seed", "protocol.seed", "protocol.fold", "protocol.repeat")
"""Settings that make repetitions of a configuration."""

_SUFFIX = re.compile(rf"(?:, |^)(?:{'|'.join(map(re.escape, REPEATED))})=[^,]*")


def name_without_repetition(name: str) -> str:
    """A trial's name without seed and fold: `AL1` of `AL1, seed=0`; empty where nothing is left."""
    return _SUFFIX.sub("", name).strip(", ")
