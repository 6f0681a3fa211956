"""What computed a result: device, versions, code revision. Recorded with every run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from mcalc.config import TrainerConfig
from mcalc.training import Placement, setup_of

CPU = "CPU"
"""How a record's device begins that is no GPU."""

_PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "pydicom",
    "mlflow",
    "optuna",
)


@cache
def versions() -> dict[str, str]:
    """Version of Python, mcalc and each library that the numbers depend on."""
    found = {name: version(name) for name in ("mcalc", *_PACKAGES)}
    return {"python": platform.python_version(), **found}


@cache
def git_revision() -> str:
    """Commit of the code, with `+changes` where files differ from it; `unknown` outside git."""
    here = Path(__file__).parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return revision + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def hardware(settings: TrainerConfig, placement: Placement | None = None) -> dict[str, str]:
    """What decides a result's last bits (device, precision, threads, memory format), and the host.

    `placement`: the part of the machine that is used; None for all.
    """
    placement = placement or Placement()
    setup = placement.setup or setup_of(settings, placement.cores)
    return {
        "mcalc.host": platform.node(),
        "mcalc.cpu": cpu_model(),
        "mcalc.device": device_name(setup.device),
        "mcalc.precision": setup.precision,
        "mcalc.threads": str(setup.threads),
        "mcalc.memory_format": memory_format(settings),
    }


def device_name(device: str) -> str:
    """What a record calls this machine's `cpu` or `cuda`."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{CPU} ({platform.machine()})"


def memory_format(settings: TrainerConfig) -> str:
    """What a record calls the memory format of images and weights."""
    return "channels_last" if settings.channels_last is True else "contiguous"


@cache
def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
