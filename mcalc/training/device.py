"""What computes a training run: device, precision, CPU threads.

PyTorch is imported where it is asked: a plan, or a run on the CPU alone, is described without it.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.config import (
    AUTO,
    Accelerator,
    AugmentPlace,
    Config,
    Precision,
    TrainerConfig,
    automatic,
    flatten,
)
from mcalc.data.loading import only_on_cpu
from mcalc.errors import UserError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
_OF_THE_LIBRARIES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables by which the libraries below PyTorch compute as another processor would."""
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvhost-ctrl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
"""One of them is there where a program on Linux can use a GPU: NVIDIA's cards, its boards with one
on the chip, Windows' GPU under WSL, AMD's."""


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


def torch_device(setup: Setup, placement: Placement) -> torch.device:
    """The device of a run as PyTorch names it."""
    import torch

    return torch.device("cuda", placement.gpu) if setup.device == "cuda" else torch.device("cpu")


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device. To a GPU it goes by pinned memory, where neither side waits."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Around a run on CUDA: convolutions that give the same bits again, and whose fp32 is fp32.

    cuDNN would choose algorithms that sum in any order, and multiply fp32 with 10 binary digits
    (TF32). On a CPU nothing changes.
    """
    if device != "cuda":
        yield
        return
    from torch.backends import cudnn

    with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Around a run that augments: OpenCV works in the thread that calls it.

    Its other threads would wait for work at full load while PyTorch computes. On two cores that
    made GoogLeNet's steps 3 to 10 % longer. Pixels are the same with any number of threads.
    """
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


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
    if sys.platform == "linux" and not any(Path(device).exists() for device in _GPU_DEVICES):
        return False  # known without PyTorch, whose import takes seconds
    import torch

    return torch.cuda.is_available()


def uses_gpu(settings: TrainerConfig) -> bool:
    """Whether training runs on a GPU here. Raises UserError if one is asked for but absent."""
    if settings.accelerator is Accelerator.cpu:
        return False
    available = sees_gpu()
    if settings.accelerator is Accelerator.gpu and not available:
        if sys.platform == "darwin":
            raise UserError(
                "trainer.accelerator=gpu: mcalc trains on CUDA devices and not on Apple's (MPS), "
                "whose results nobody has compared with the others': use auto or cpu"
            )
        raise UserError(
            "trainer.accelerator=gpu, but PyTorch sees no CUDA device here: use auto or cpu, or "
            "check the driver with nvidia-smi"
        )
    return available


@cache
def _say_fp32() -> None:
    """Once in a process: a plan may have a thousand such trials."""
    _log.warning(
        "  warning: trainer.precision=bf16 has no effect with backbone.freeze=all, which is "
        "computed in fp32, and recorded so"
    )


def resolved(config: Config) -> Config:
    """The config with the values that `auto` comes to on this machine (`mcalc.config.automatic`).

    A head on features that were computed once is in fp32 everywhere, whatever is named.

    Raises UserError as `uses_gpu`.
    """
    settings = config.trainer
    freezes_all = config.backbone.freeze == "all"
    if freezes_all and settings.precision is Precision.bf16:
        _say_fp32()
        config = replace(config, trainer=replace(settings, precision=Precision.fp32))
        settings = config.trainer
    if not automatic(flatten(config)):
        return config
    # every device computes in it, none slower (docs/speed.md)
    channels_last = True if settings.channels_last == AUTO else settings.channels_last
    precision = Precision.fp32 if freezes_all else resolve_precision(settings)
    trainer = replace(settings, precision=precision, channels_last=channels_last)
    augment = replace(config.augment, place=resolve_place(config))
    return replace(config, trainer=trainer, augment=augment)


def resolve_place(config: Config) -> AugmentPlace:
    """Where images lie and are augmented; `auto` is the device where that is a GPU.

    The CPU where the device does not know an augmentation that is in use, and with a frozen
    backbone, whose features are computed once.
    """
    if config.augment.place is not AugmentPlace.auto:
        return config.augment.place
    if config.backbone.freeze == "all" or only_on_cpu(config.augment):
        return AugmentPlace.cpu
    return AugmentPlace.device if uses_gpu(config.trainer) else AugmentPlace.cpu


def resolve_precision(settings: TrainerConfig) -> Precision:
    """The precision that `auto` means on this machine: bf16 where the hardware computes in it."""
    if settings.precision is not Precision.auto:
        return settings.precision
    return Precision.bf16 if _computes_in_bf16(gpu=uses_gpu(settings)) else Precision.fp32


def refuse_precision(settings: TrainerConfig) -> None:
    """Raise UserError where this machine cannot compute in the precision that is set."""
    gpu = settings.precision is Precision.bf16 and uses_gpu(settings)
    if settings.precision is not Precision.bf16 or _computes_in_bf16(gpu=gpu):
        return
    raise UserError(
        f"{platform.node()} does not compute in bf16 (its {'GPU' if gpu else 'processor'} has no "
        "instructions for it), which trainer.precision=bf16 asks for: take a machine that does, or "
        "trainer.precision=fp32, which makes another sweep"
    )


def _computes_in_bf16(*, gpu: bool) -> bool:
    if gpu:
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64"):
        return "avx512_bf16" in _processor_flags()  # as PyTorch finds it, without its import
    import torch

    return torch.cpu._is_avx512_bf16_supported()


def _processor_flags() -> list[str]:
    """Instruction sets of the first core, as Linux lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.split() for line in lines if line.startswith("flags")), [])
