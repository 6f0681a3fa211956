"""Where the images of a training run lie: in memory, or on the device that trains."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch

from mcalc.config import AugmentPlace, Config
from mcalc.data.loading import CropData, Crops, on_device, only_on_cpu
from mcalc.errors import UserError

MOST_OF_FREE = 0.25
"""Share of the memory that is free when a run begins, which its images may take at most: the
network and its passes need the most of it, and other runs may begin on the same card."""


def placed(
    data: CropData, config: Config, device: torch.device, note: Callable[[str], None]
) -> CropData:
    """The data with its images on the device, where `augment.place=device`.

    Features of a frozen network stay where they are. `note` is told where images do not fit: each
    mini-batch then travels and is augmented on the device all the same, to the same numbers.

    Raises UserError for an augmentation that is computed on the CPU alone.
    """
    subsets = [data.train, data.validation, data.reported]
    crops = [each for each in subsets if isinstance(each, Crops)]
    frozen = config.backbone.freeze == "all"
    if config.augment.place is not AugmentPlace.device or frozen or len(crops) < len(subsets):
        return data
    if config.augment.enabled and (wrong := only_on_cpu(config.augment)):
        raise UserError(
            f"{', '.join(wrong)}: computed on the CPU alone, and augment.place=device: take "
            "augment.place=cpu or auto"
        )
    free = free_bytes(device)
    train, validation, reported = on_device(crops, device, int(MOST_OF_FREE * free))
    if train.images is None:
        note(
            f"augment.place=device: the images stay in memory, as they would take more than "
            f"{MOST_OF_FREE:.0%} of the {free / 1e9:.1f} GB that are free on {device}; each "
            "mini-batch travels there, which takes longer and gives the same numbers"
        )
    return data.replaced(train, validation, reported)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device; of the CPU, what a process can still get."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)
