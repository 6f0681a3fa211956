"""Which settings of augmentation are computed on a device too, told without PyTorch."""

from __future__ import annotations

from mcalc.config import AugmentConfig, leaves

_COMPUTED = frozenset(
    {
        "enabled", "strength", "rotation", "flip_horizontal", "flip_vertical", "scale",
        "translate", "brightness", "contrast", "noise", "place", "frozen_copies",
    }
)  # fmt: skip
"""All that `mcalc.data.loading.augment_on_device` knows of. A new augmentation is computed on the
CPU alone until it stands there and here."""


def only_on_cpu(settings: AugmentConfig) -> tuple[str, ...]:
    """Settings that are in use and that a device does not compute, as `augment.blur=0.5`."""
    return tuple(
        f"augment.{leaf.key}={leaf.value}"
        for leaf in leaves(settings)
        if leaf.key not in _COMPUTED and leaf.value != leaf.rules.neutral
    )
