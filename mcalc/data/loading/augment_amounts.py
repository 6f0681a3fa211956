"""How much an image may be changed at most, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config import AugmentConfig


@dataclass(frozen=True)
class Amounts:
    """The largest changes of an image; 0 and False switch one off."""

    flip_horizontal: bool
    flip_vertical: bool
    rotation: float
    """Degrees either way, to 180."""
    scale: float
    """Relative change of width and height, each for itself."""
    translate: float
    """Share of the width or height, each for itself."""
    brightness: float
    """Share of the full range."""
    contrast: float
    """Relative change."""
    noise: float
    """Standard deviation, as a share of the full range."""

    @property
    def moves(self) -> bool:
        """Whether pixels move otherwise than by a flip."""
        return bool(self.rotation or self.scale or self.translate)

    @property
    def recolours(self) -> bool:
        """Whether grey levels change otherwise than by noise."""
        return bool(self.brightness or self.contrast)


def amounts(settings: AugmentConfig) -> Amounts:
    """The amounts of settings, times `strength` up to the limit beyond which none has sense."""
    strength = settings.strength
    return Amounts(
        flip_horizontal=settings.flip_horizontal,
        flip_vertical=settings.flip_vertical,
        rotation=min(settings.rotation * strength, 180.0),
        scale=min(settings.scale * strength, 0.9),
        translate=min(settings.translate * strength, 1.0),
        brightness=min(settings.brightness * strength, 1.0),
        contrast=min(settings.contrast * strength, 1.0),
        noise=min(settings.noise * strength, 1.0),
    )
