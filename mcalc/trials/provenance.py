"""What computed a result: device, versions, code revision. Recorded with every run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from mcalc.config import TrainerConfig
from mcalc.training import resolve_precision, setup_of, uses_gpu

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


def hardware(settings: TrainerConfig, cores: int | None = None) -> dict[str, str]:
    """What decides a result's last bits (device, precision, threads, memory format), and the host.

    `cores`: CPU threads where the settings do not say; None for all.
    """
    device = torch.cuda.get_device_name() if uses_gpu(settings) else f"CPU ({platform.machine()})"
    return {
        "mcalc.host": platform.node(),
        "mcalc.device": device,
        "mcalc.precision": resolve_precision(settings).value,
        "mcalc.threads": str(setup_of(settings, cores).threads),
        "mcalc.memory_format": "channels_last" if settings.channels_last else "contiguous",
    }
