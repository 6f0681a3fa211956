"""Augmentation of an image of 227 pixels: by OpenCV on the CPU, and for a mini-batch on a device.

In turns, so that what else the machine does meets all of them. On the device images are drawn and
sent as in training. A GPU is waited for after each mini-batch, by the clock; where there is none
the processor's own time counts, of all its threads, whatever else the machine does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mcalc.config import AugmentConfig
from mcalc.data.loading import Crops, on_device
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.augment_batch import Changes
from mcalc.data.splits import Sample
from mcalc.training.device import sent

SIZE = 227
BATCHES = (10, 32)
ROUNDS = 9
_AT_ONCE = 5
"""Mini-batches that are timed together."""


def cases(batch: int, device: torch.device) -> dict[str, Callable[[int], object]]:
    """What is timed for one mini-batch of an epoch."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE), dtype=np.uint8)
    members = [Sample(f"{i}", i, 0, f"{i}", f"{i}") for i in range(batch)]
    crops = Crops(pixels, members, Augment(AugmentConfig(), 0))
    (there,) = on_device([crops], device)

    def drawn(epoch: int) -> Changes:
        return there.recipes.__getitems__([(epoch, position) for position in range(batch)])

    def changed(epoch: int) -> None:
        there.made(Changes(*(sent(each, device) for each in drawn(epoch))))
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return {
        "by OpenCV, image by image": lambda epoch: [crops[epoch, i] for i in range(batch)],
        f"drawn on the CPU and changed on {device.type}": changed,
        "of which drawing": drawn,
    }


def report(console: Console, batches: Sequence[int] = BATCHES) -> dict[str, dict[str, list[float]]]:
    """Measure, print a table, and return seconds an image, a value a round."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    title = f"augmentation of an image of {SIZE} px: median, least and most of {ROUNDS} rounds"
    unit = "ms" if device.type == "cuda" else "ms of the processor's time"
    table = Table("mini-batch", "", f"{unit}, {torch.get_num_threads()} threads", title=title)
    found: dict[str, dict[str, list[float]]] = {}
    for batch in batches:
        every = cases(batch, device)
        times: dict[str, list[float]] = {name: [] for name in every}
        for epoch in range(1 + ROUNDS):
            for name, one in every.items():
                seconds = _seconds(one, epoch, clock) / batch
                times[name] += [seconds] if epoch else []  # the first one allocates
        found[str(batch)] = times
        for name, each in times.items():
            middle, low, high = (1e3 * of(each) for of in (statistics.median, min, max))
            table.add_row(str(batch), name, f"{middle:.3f}, {low:.3f} to {high:.3f}")
    console.print(table)
    return found


def _seconds(one: Callable[[int], Any], epoch: int, clock: Callable[[], float]) -> float:
    began = clock()
    for number in range(_AT_ONCE):
        one(_AT_ONCE * epoch + number)
    return (clock() - began) / _AT_ONCE
