"""The phantom's film without calcifications: breast texture, breast outline and film noise.

Brightness is the digitised film's, 0 (air, black) to 1 (white). Mammographic parenchyma has a
power spectrum of about 1/f^3 in space frequency (Burgess et al. 2001, Medical Physics 28:419), so
texture is a Gaussian random field with that spectrum.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

FloatImage = npt.NDArray[np.float32]

SPECTRAL_EXPONENT = 3.0
"""beta of the power spectrum 1/f^beta of breast texture."""
FILM_SHAPE = (512, 384)
"""Rows and columns of a full image."""
MAGNIFICATION = 4
"""Crop pixels along one pixel of the full image: crops are the film digitised four times finer."""

AIR = 0.03
CHEST_WALL_MARGIN = 0.92
"""Share of the film's columns that the breast reaches at most."""
TEXTURE_CONTRAST = 0.055
"""Standard deviation of texture on the film, in brightness, before the skin line thins it."""
GRAIN = 0.005
"""Standard deviation of noise at full brightness and crop resolution."""


def power_law_field(
    shape: tuple[int, int],
    exponent: float,
    rng: np.random.Generator,
    lowest_frequency: float = 0.0,
    stretch: float = 1.0,
) -> FloatImage:
    """A Gaussian random field whose power spectrum falls as 1/f^exponent.

    Args:
        shape: rows and columns.
        exponent: beta; 0 is white noise, 3 is breast texture.
        rng: where the noise comes from.
        lowest_frequency: cycles a pixel below which the field holds nothing.
        stretch: how much longer its structures are along columns' axis x than along rows' axis y;
            1 is isotropic.

    Returns:
        float32 of that shape, mean 0, standard deviation 1.
    """
    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    vertical = fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    horizontal = fft.rfftfreq(shape[1]).astype(np.float32)[None, :] * stretch
    frequency = np.hypot(vertical, horizontal)
    frequency[0, 0] = np.inf  # the mean carries no texture
    amplitude = frequency ** np.float32(-exponent / 2)
    amplitude[frequency < lowest_frequency] = 0.0
    field = fft.irfft2(spectrum * amplitude, s=shape)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def breast_thickness(view_is_mlo: bool, rng: np.random.Generator) -> FloatImage:
    """Relative thickness of the compressed breast on the film, chest wall at column 0.

    Returns:
        float32 of `FILM_SHAPE`, 0 in air and 1 where the breast is thickest. In the MLO view the
        breast hangs lower than in the CC view.
    """
    rows, columns = FILM_SHAPE
    reach = columns * CHEST_WALL_MARGIN * rng.uniform(0.85, 1.0)
    half_height = rows * rng.uniform(0.43, 0.48)
    middle = rows / 2 + (12 if view_is_mlo else 0)
    y, x = np.ogrid[0:rows, 0:columns]
    radius_squared = ((y - middle) / half_height) ** 2 + (x / reach) ** 2
    # Compression keeps thickness even; it only falls off towards the skin.
    thickness = np.clip(1 - radius_squared, 0, None) ** 0.35
    return np.asarray(thickness, dtype=np.float32)


def breast_film(view_is_mlo: bool, density: int, rng: np.random.Generator) -> FloatImage:
    """A full film without calcifications and without noise, chest wall at column 0.

    Args:
        view_is_mlo: the mediolateral oblique view shows the pectoral muscle in the upper corner.
        density: BI-RADS breast density 1 (fatty) to 4 (extremely dense).
        rng: where outline and texture come from.

    Returns:
        float32 brightness of `FILM_SHAPE`, 0..1.
    """
    thickness = breast_thickness(view_is_mlo, rng)
    # Ducts and ligaments run towards the nipple, so structures are longer along x.
    texture = power_law_field(FILM_SHAPE, SPECTRAL_EXPONENT, rng, stretch=1.3)
    film = AIR + thickness * (0.34 + 0.03 * density + TEXTURE_CONTRAST * texture)
    if view_is_mlo:
        film += 0.10 * thickness * _pectoral_muscle(rng)
    return np.clip(film, 0.0, 1.0)


def _pectoral_muscle(rng: np.random.Generator) -> FloatImage:
    """A triangle in the corner of chest wall and upper edge, 1 inside, with a soft border."""
    rows, columns = FILM_SHAPE
    y, x = np.ogrid[0:rows, 0:columns]
    depth = 1 - x / (columns * rng.uniform(0.3, 0.5)) - y / (rows * rng.uniform(0.35, 0.6))
    return np.asarray(1 / (1 + np.exp(-depth * 25)), dtype=np.float32)


def magnify(film: FloatImage, rng: np.random.Generator) -> FloatImage:
    """A part of the film as a digitiser with `MAGNIFICATION` times finer pixels sees it.

    Interpolation alone would end the spectrum at the film's highest frequency, so the 1/f^beta
    texture that lies above it is added.

    Args:
        film: float32 brightness (h, w).
        rng: where the finer texture comes from.

    Returns:
        float32 brightness (h x `MAGNIFICATION`, w x `MAGNIFICATION`).
    """
    height, width = film.shape[0] * MAGNIFICATION, film.shape[1] * MAGNIFICATION
    coarse = cv2.resize(film, (width, height), interpolation=cv2.INTER_CUBIC)
    film_nyquist = 0.5 / MAGNIFICATION
    detail = power_law_field((height, width), SPECTRAL_EXPONENT, rng, lowest_frequency=film_nyquist)
    # For beta = 3 the variance between two frequencies a < b is proportional to 1/a - 1/b; here
    # in cycles a film pixel, up to the Nyquist frequency of either grid.
    film_variance = max(FILM_SHAPE) - 1 / 0.5
    detail_variance = 1 / 0.5 - 1 / (0.5 * MAGNIFICATION)
    contrast = TEXTURE_CONTRAST * np.sqrt(detail_variance / film_variance)
    return np.asarray(coarse + np.float32(contrast) * detail, dtype=np.float32)


def add_film_noise(
    film: FloatImage, rng: np.random.Generator, averaged_pixels: int = 1
) -> FloatImage:
    """Film with its noise: it grows with the signal, and neighbouring pixels share grains.

    Args:
        film: float32 brightness, 0..1, of any shape.
        rng: where the noise comes from.
        averaged_pixels: how many crop pixels along a side one pixel of `film` averages.

    Returns:
        float32 brightness, 0..1, of the same shape.
    """
    grains = rng.standard_normal(film.shape, dtype=np.float32)
    if averaged_pixels == 1:
        # Grains are a little larger than a crop pixel; 0.47 is the standard deviation that this
        # blur leaves of white noise: 1 / (2 sqrt(pi) sigma).
        grains = cv2.GaussianBlur(grains, (0, 0), 0.6) / np.float32(0.47)
    deviation = np.float32(GRAIN / averaged_pixels) * np.sqrt(0.1 + 0.9 * film)
    return np.asarray(np.clip(film + deviation * grains, 0, 1), dtype=np.float32)
