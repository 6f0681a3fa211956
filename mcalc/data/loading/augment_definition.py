"""What augmentation is, in albumentations' terms; `mcalc.data.loading.augment` computes it faster.

Not used in training: a test compares the two. albumentations is imported here alone.
"""

from __future__ import annotations

import os
from typing import Any

import cv2

from mcalc.config import AugmentConfig
from mcalc.data.loading.augment_amounts import amounts

# It would ask the network for a newer release at import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A


def transforms(settings: AugmentConfig) -> list[Any]:
    """The albumentations steps that are switched on, in order."""
    amount = amounts(settings)
    steps: list[Any] = []
    if amount.flip_horizontal:
        steps.append(A.HorizontalFlip(p=0.5))
    if amount.flip_vertical:
        steps.append(A.VerticalFlip(p=0.5))
    if amount.moves:
        # one warp for all three: each further warp would blur again; the border is mirrored, as a
        # black wedge would be an edge that no mammogram has
        steps.append(
            A.Affine(
                rotate=(-amount.rotation, amount.rotation),
                scale=(1 - amount.scale, 1 + amount.scale),
                translate_percent=(-amount.translate, amount.translate),
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            )
        )
    if amount.brightness or amount.contrast:
        steps.append(
            A.RandomBrightnessContrast(
                brightness_limit=amount.brightness,
                contrast_limit=amount.contrast,
                brightness_by_max=True,
                p=1.0,
            )
        )
    if amount.noise:
        steps.append(A.GaussNoise(std_range=(0.0, amount.noise), p=1.0))
    return steps
