"""Random changes of training images with albumentations, reproducible image by image."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import AugmentConfig

# It would ask the network for a newer release at import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A


class Augment:
    """The paper's list: rotation, flips, scaling, intensity and contrast, noise.

    A draw depends on (seed, epoch, lesion's position) alone: not on how many processes draw, nor on
    what was drawn before, so that a run can be resumed or shared.
    """

    def __init__(self, settings: AugmentConfig, seed: int) -> None:
        self.seed = seed
        steps = transforms(settings) if settings.enabled else []
        self._compose = A.Compose(steps) if steps else None

    def __call__(
        self, image: npt.NDArray[np.uint8], epoch: int, position: int
    ) -> npt.NDArray[np.uint8]:
        """A changed copy of a grey image (H, W), 0..255."""
        if self._compose is None:
            return image
        draw = np.random.SeedSequence([self.seed, epoch, position]).generate_state(1)
        self._compose.set_random_seed(int(draw[0]))
        changed: npt.NDArray[np.uint8] = self._compose(image=np.ascontiguousarray(image))["image"]
        return changed


def transforms(settings: AugmentConfig) -> list[Any]:
    """The albumentations steps that are switched on, in order."""
    # no amount beyond these has a meaning
    strength = settings.strength
    rotation, scale = min(settings.rotation * strength, 180.0), min(settings.scale * strength, 0.9)
    others = (settings.translate, settings.brightness, settings.contrast, settings.noise)
    translate, brightness, contrast, noise = (min(amount * strength, 1.0) for amount in others)
    steps: list[Any] = []
    if settings.flip_horizontal:
        steps.append(A.HorizontalFlip(p=0.5))
    if settings.flip_vertical:
        steps.append(A.VerticalFlip(p=0.5))
    if rotation or scale or translate:
        # one warp for all three: each further warp would blur again; the border is mirrored, as a
        # black wedge would be an edge that no mammogram has
        steps.append(
            A.Affine(
                rotate=(-rotation, rotation),
                scale=(1 - scale, 1 + scale),
                translate_percent=(-translate, translate),
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            )
        )
    if brightness or contrast:
        steps.append(
            A.RandomBrightnessContrast(
                brightness_limit=brightness, contrast_limit=contrast, brightness_by_max=True, p=1.0
            )
        )
    if noise:
        steps.append(A.GaussNoise(std_range=(0.0, noise), p=1.0))
    return steps
