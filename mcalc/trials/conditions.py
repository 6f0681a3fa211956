"""What a machine must offer for a recorded run's numbers to come again, and what else differs."""

from __future__ import annotations

import json
import os
from typing import Any

from mcalc.config import Accelerator, Precision, TrainerConfig
from mcalc.errors import UserError
from mcalc.results import RecordedTrial
from mcalc.training import Setup, resolve_precision, sees_gpu, uses_gpu
from mcalc.trials.provenance import CPU, device_name, memory_format

_MOST_THREADS = 1024
"""As of `trainer.threads`."""
_NOT_RECORDED = "not recorded"


def setup_to_keep(
    settings: TrainerConfig, trial: RecordedTrial
) -> tuple[Setup | None, tuple[str, ...]]:
    """What a recorded run was computed with, and what of it cannot be had here.

    None for the setup where anything cannot; each reason is `WHAT was X, here it is Y`.
    """
    tags = {
        name: trial.tags.get(f"mcalc.{name}", _NOT_RECORDED)
        for name in ("device", "precision", "threads", "memory_format")
    }
    device = "cpu" if tags["device"].startswith(CPU) else "cuda"
    reasons = []
    if here := _other_device(settings, device, tags["device"]):
        reasons.append(f"device was {tags['device']}, here it is {here}")
    if here := _other_precision(settings, device, tags["precision"]):
        reasons.append(f"precision was {tags['precision']}, here it is {here}")
    if here := _other_threads(settings, tags["threads"]):
        reasons.append(f"threads were {tags['threads']}, here they are {here}")
    if (here := memory_format(settings)) != tags["memory_format"]:
        reasons.append(f"memory format was {tags['memory_format']}, here it is {here}")
    if reasons:
        return None, tuple(reasons)
    return Setup(device, tags["precision"], int(tags["threads"])), ()


def _other_device(settings: TrainerConfig, device: str, recorded: str) -> str:
    """What computes here in place of the recorded device; empty where that one can."""
    if recorded == _NOT_RECORDED:
        return _device_here(settings)
    if device == "cpu" and settings.accelerator is Accelerator.gpu:
        return _device_here(settings)
    if device == "cuda" and (settings.accelerator is Accelerator.cpu or not sees_gpu()):
        return device_name("cpu")
    return ""


def _device_here(settings: TrainerConfig) -> str:
    try:
        return device_name("cuda" if uses_gpu(settings) else "cpu")
    except UserError:
        return "no GPU"


def _other_precision(settings: TrainerConfig, device: str, recorded: str) -> str:
    """The precision here in place of the recorded one; empty where that one can be had.

    A device that computes in bf16 computes in fp32 too.
    """
    if settings.precision not in (Precision.auto, recorded):
        return settings.precision.value
    if recorded == Precision.fp32.value:
        return ""
    if device == "cuda" and not sees_gpu():
        # the GPU that is missing is named already; whether another one has bf16 is not known
        return "" if recorded == Precision.bf16.value else "unknown"
    on = Accelerator.gpu if device == "cuda" else Accelerator.cpu
    here = resolve_precision(TrainerConfig(precision=Precision.auto, accelerator=on)).value
    return here if here != recorded else ""


def _other_threads(settings: TrainerConfig, recorded: str) -> str:
    """The threads here in place of the recorded number; empty where that many can run.

    A machine of fewer cores runs as many threads, slower and with the same numbers. OpenMP's
    variables may keep it from that without a word.
    """
    if settings.threads is not None and str(settings.threads) != recorded:
        return str(settings.threads)
    if not (recorded.isdecimal() and 1 <= int(recorded) <= _MOST_THREADS):
        return f"a number from 1 to {_MOST_THREADS}"
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    if limit.isdecimal() and int(limit) < int(recorded):
        return f"{limit} at most (OMP_THREAD_LIMIT={limit} of the environment)"
    if int(recorded) > 1 and os.environ.get("OMP_DYNAMIC", "").lower() in ("true", "1"):
        return "as many as OpenMP likes (OMP_DYNAMIC of the environment)"
    return ""


_NOTED = {
    "device": "device",
    "cpu": "processor",
    "git": "revision of the code",
    "weights": "weights",
    "host": "host",
}
"""Tags that may explain a difference, in words."""


def notes(old: RecordedTrial, new: RecordedTrial) -> list[str]:
    """What else was otherwise, as `torch was 2.4, now 2.5`: libraries, processor, code, host.

    What one of the runs does not say is omitted.
    """
    found = []
    was, now = (_versions(trial) for trial in (old, new))
    for name in was.keys() & now.keys():
        if was[name] != now[name]:
            found.append(f"{name} was {was[name]}, now {now[name]}")
    found.sort()
    for tag, words in _NOTED.items():
        before, after = (trial.tags.get(f"mcalc.{tag}", "") for trial in (old, new))
        if before and after and before != after:
            found.append(f"{words} was {before}, now {after}")
    return found


def _versions(trial: RecordedTrial) -> dict[str, Any]:
    try:
        content = json.loads(trial.tags.get("mcalc.versions", "{}"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
