"""Which GPU a training run takes, where several run at once on a machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from mcalc.config import TrainerConfig
from mcalc.trajectory import uses_gpu

_PAUSE = 0.5


@contextmanager
def gpu_slot(settings: TrainerConfig, trials_per_gpu: int) -> Iterator[int]:
    """Wait for a free place on a GPU and hold it; inside, the CUDA device's number.

    A place is a lock that the system takes back when its process dies, named by the device itself
    and not by its number, which differs where a scheduler shows each job its own. 0 where training
    runs on the CPU.
    """
    if not uses_gpu(settings):
        yield 0
        return
    places = [
        (device, FileLock(_folder() / f"{_name(device)}-{place}.lock"))
        for place in range(trials_per_gpu)
        for device in range(torch.cuda.device_count())
    ]
    while True:
        for device, lock in places:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        time.sleep(_PAUSE)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / "mcalc-gpu-slots"
    folder.mkdir(exist_ok=True)
    return folder


def _name(device: int) -> str:
    return str(getattr(torch.cuda.get_device_properties(device), "uuid", device))
