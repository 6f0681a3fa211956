"""Which part of a machine a training run takes, where several run at once on it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from mcalc.config import TrainerConfig
from mcalc.training import all_cores, uses_gpu

_PAUSE = 0.5


def cores_here() -> int:
    """Cores that this process may use; two threads of one core count once."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, psutil.cpu_count(logical=False) or allowed or 1))


def cpu_share(settings: TrainerConfig, beside: int) -> int | None:
    """CPU threads for one of `beside` training runs on this machine; None: all of them.

    A run on a GPU needs few threads of its own. Launchers may have set OMP_NUM_THREADS to a share
    already (joblib does), which is not divided once more.
    """
    if beside <= 1 or uses_gpu(settings):
        return None
    return share_of(cores_here(), all_cores(), beside)


def share_of(cores: int, limit: int, beside: int) -> int:
    """Threads for each of `beside` runs that share `cores`: from 1 to `limit`."""
    return max(1, min(limit, cores // beside))


@contextmanager
def gpu_slot(settings: TrainerConfig, trials_per_gpu: int) -> Iterator[int]:
    """Wait for a free place on a GPU and hold it; inside, the CUDA device's number.

    A place is named by the device itself and not by its number, which differs where a scheduler
    shows each job its own. 0 where training runs on the CPU.
    """
    if not uses_gpu(settings):
        yield 0
        return
    import torch

    places = [
        (device, f"{_name(device)}-{place}")
        for place in range(trials_per_gpu)
        for device in range(torch.cuda.device_count())
    ]
    with first_free([name for _, name in places], _folder()) as index:
        yield places[index][0]


@contextmanager
def first_free(names: Sequence[str], folder: Path) -> Iterator[int]:
    """Wait until one of the places is free and hold it; inside, its index.

    A place is a lock on a file of `folder`, which the system takes back when its process dies.
    """
    locks = [FileLock(folder / f"{name}.lock") for name in names]
    while True:
        for index, lock in enumerate(locks):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield index
            finally:
                lock.release()
            return
        time.sleep(_PAUSE)


def _folder() -> Path:
    # one a user: files of another could not be locked
    folder = Path(tempfile.gettempdir()) / f"mcalc-gpu-slots-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _name(device: int) -> str:
    import torch

    return str(getattr(torch.cuda.get_device_properties(device), "uuid", device))
