"""Augmentation with everything off, for tests to switch on one change."""

from __future__ import annotations

from mcalc.config import AugmentConfig

NOTHING = AugmentConfig(
    rotation=0,
    flip_horizontal=False,
    flip_vertical=False,
    scale=0,
    translate=0,
    brightness=0,
    contrast=0,
    noise=0,
)
