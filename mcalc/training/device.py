"""What computes a training run: device, precision, CPU threads.

PyTorch is imported where it is asked: a plan, or a run on the CPU alone, is described without it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from mcalc.config import Accelerator, Precision, TrainerConfig
from mcalc.errors import UserError

_OF_THE_LIBRARIES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables by which the libraries below PyTorch compute as another processor would."""


def arithmetic_variables() -> list[str]:
    """Variables of the shell, with their values, that change a run's last bits or more."""
    return [f"{name}={os.environ[name]}" for name in _OF_THE_LIBRARIES if os.environ.get(name)]


@dataclass(frozen=True)
class Placement:
    """The part of a machine that a run may use, where several share it."""

    gpu: int = 0
    """CUDA device to train on, where there are several."""
    cores: int | None = None
    """CPU threads to use where `trainer.threads` is null; None for all."""
    setup: Setup | None = None
    """What an earlier run was computed with, to be kept; None for what settings and machine say."""


@dataclass(frozen=True)
class Setup:
    """What has to be the same for the same numbers, beside the trial's settings."""

    device: str
    """`cpu` or `cuda`."""
    precision: str
    """`fp32` or `bf16`."""
    threads: int
    """CPU threads of the arithmetic."""


@cache
def all_cores() -> int:
    """CPU threads that PyTorch takes by default, as they were before any run set a number."""
    import torch

    return torch.get_num_threads()


def use_threads(threads: int) -> None:
    """Compute with so many CPU threads from now on."""
    import torch

    all_cores()  # the default is known no longer once it is changed
    torch.set_num_threads(threads)


def setup_of(settings: TrainerConfig, cores: int | None = None) -> Setup:
    """What this machine and these settings make of device, precision and threads.

    `cores` as in `Placement`. Raises UserError as `uses_gpu`.
    """
    return Setup(
        device="cuda" if uses_gpu(settings) else "cpu",
        precision=resolve_precision(settings).value,
        threads=settings.threads or cores or all_cores(),
    )


def sees_gpu() -> bool:
    """Whether PyTorch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def uses_gpu(settings: TrainerConfig) -> bool:
    """Whether training runs on a GPU here. Raises UserError if one is asked for but absent."""
    if settings.accelerator is Accelerator.cpu:
        return False
    available = sees_gpu()
    if settings.accelerator is Accelerator.gpu and not available:
        raise UserError(
            "trainer.accelerator=gpu, but PyTorch sees no CUDA device here: use auto or cpu, or "
            "check the driver with nvidia-smi"
        )
    return available


def resolve_precision(settings: TrainerConfig) -> Precision:
    """The precision that `auto` means on this machine: bf16 where the hardware computes in it."""
    if settings.precision is not Precision.auto:
        return settings.precision
    import torch

    if uses_gpu(settings):
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return Precision.bf16 if fast else Precision.fp32
