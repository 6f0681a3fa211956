"""The phantom's breast texture and film noise, at any resolution.

Brightness is the digitised film's, 0 (air, black) to 1 (white). Mammographic parenchyma has a
power spectrum of about 1/f^3 in space frequency (Burgess et al. 2001, Medical Physics 28:419), so
texture is a Gaussian random field with that spectrum.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from mcalc.data.phantom.grid import FilmGrid

FloatImage = npt.NDArray[np.float32]

SPECTRAL_EXPONENT = 3.0
"""beta of the power spectrum 1/f^beta of breast texture."""
TEXTURE_CONTRAST = 0.055
"""Standard deviation of texture on the film, in brightness, before the skin line thins it."""
GRAIN = 0.005
"""Standard deviation of noise at full brightness and crop resolution."""


def power_law_field(
    shape: tuple[int, int],
    rng: np.random.Generator,
    exponent: float = SPECTRAL_EXPONENT,
    lowest_frequency: float = 0.0,
    stretch: float = 1.0,
) -> FloatImage:
    """A Gaussian random field whose power spectrum falls as 1/f^exponent.

    Args:
        shape: rows and columns.
        rng: where the noise comes from.
        exponent: beta; 0 is white noise, 3 is breast texture.
        lowest_frequency: cycles a pixel below which the field holds nothing.
        stretch: how much longer its structures are along columns' axis x than along rows' axis y;
            1 is isotropic.

    Returns:
        float32 of that shape, mean 0, standard deviation 1.
    """
    spectrum = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    vertical = fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    horizontal = fft.rfftfreq(shape[1]).astype(np.float32)[None, :] * np.float32(stretch)
    frequency = np.hypot(vertical, horizontal)
    frequency[0, 0] = np.inf  # the mean carries no texture
    amplitude = frequency ** np.float32(-exponent / 2)
    amplitude[frequency < lowest_frequency] = 0.0
    spectrum *= amplitude
    field = fft.irfft2(spectrum, s=shape, overwrite_x=True)
    field -= field.mean()
    field /= field.std()
    return np.asarray(field, dtype=np.float32)


def magnify(film: FloatImage, grid: FilmGrid, rng: np.random.Generator) -> FloatImage:
    """A part of the film as a digitiser with `grid.magnification` times finer pixels sees it.

    Interpolation alone would end the spectrum at the film's highest frequency, so the 1/f^beta
    texture that lies above it is added.

    Args:
        film: float32 brightness (h, w).
        grid: of the whole film.
        rng: where the finer texture comes from.

    Returns:
        float32 brightness, `grid.magnification` times as many rows and columns.
    """
    finer = grid.magnification
    height, width = film.shape[0] * finer, film.shape[1] * finer
    coarse = cv2.resize(film, (width, height), interpolation=cv2.INTER_CUBIC)
    film_nyquist = 0.5 / finer
    detail = power_law_field((height, width), rng, lowest_frequency=film_nyquist)
    # For beta = 3 the variance between two frequencies a < b is proportional to 1/a - 1/b; here
    # in cycles a film pixel, up to the Nyquist frequency of either grid.
    film_variance = grid.rows - 1 / 0.5
    detail_variance = 1 / 0.5 - 1 / (0.5 * finer)
    contrast = TEXTURE_CONTRAST * np.sqrt(detail_variance / film_variance)
    return np.asarray(coarse + np.float32(contrast) * detail, dtype=np.float32)


def add_film_noise(
    film: FloatImage, rng: np.random.Generator, averaged_pixels: int = 1
) -> FloatImage:
    """Film with its noise: it grows with the signal, and neighbouring pixels share grains.

    Args:
        film: float32 brightness, 0..1, of any shape.
        rng: where the noise comes from.
        averaged_pixels: how many crop pixels, along each axis, one pixel of `film` averages.

    Returns:
        float32 brightness, 0..1, of the same shape.
    """
    grains = rng.standard_normal(film.shape, dtype=np.float32)
    if averaged_pixels == 1:
        # Grains are a little larger than a crop pixel; 0.47 is the standard deviation that this
        # blur leaves of white noise: 1 / (2 sqrt(pi) sigma).
        grains = cv2.GaussianBlur(grains, (0, 0), 0.6) / np.float32(0.47)
    growth = np.sqrt(np.float32(0.1) + np.float32(0.9) * film)
    grains *= np.float32(GRAIN / averaged_pixels) * growth
    grains += film
    return np.clip(grains, 0, 1, out=grains)
