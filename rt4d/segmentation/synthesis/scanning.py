"""What a scanner makes of a chest: slices of some thickness, pixels, kernel, noise and breathing, brought to the network's space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.segmentation.synthesis.chests import SPACING_MM
from rt4d.segmentation.synthesis.fields import Array, log_uniform


def scanned(hu: Array, rng: np.random.Generator) -> Array:
    """The chest as a CT shows it, z y x on the same grid: float32 HU with all that, each as strong as chance has it."""
    if rng.random() < 0.2:
        hu = _breathed(hu, rng)
    hu = _kernel(hu, rng)
    slice_mm, pixel_mm = float(rng.choice([1.0, 2.5, 3.0, 3.0, 5.0])), 1.0
    if rng.random() < 0.12:  # 4D-CT of small matrices
        slice_mm, pixel_mm = float(rng.uniform(3, 6.5)), float(rng.uniform(3, 5.2))
    return _sampled(hu, slice_mm, pixel_mm, log_uniform(rng, 2.0, 28.0), rng)


def _kernel(hu: Array, rng: np.random.Generator) -> Array:
    """Softer by a Gaussian, or sharper by unsharp masking."""
    amount = rng.uniform(-1, 1)
    if amount < 0:
        return np.asarray(ndimage.gaussian_filter(hu, -0.7 * amount))
    return np.asarray(hu + np.float32(0.7 * amount) * (hu - ndimage.gaussian_filter(hu, 0.8)), dtype=np.float32)


def _breathed(hu: Array, rng: np.random.Generator) -> Array:
    """The lower slices blurred along the body, as by breathing during the scan."""
    z = np.arange(hu.shape[0])[:, None, None]
    blurred = ndimage.gaussian_filter1d(hu, rng.uniform(0.5, 1.6), axis=0)
    weight = np.clip((rng.uniform(0.3, 0.7) * hu.shape[0] - z) / 8, 0, 1).astype(np.float32)
    return np.asarray(hu + weight * (blurred - hu))


def _sampled(hu: Array, slice_mm: float, pixel_mm: float, noise_hu: float, rng: np.random.Generator) -> Array:
    """Averaged over coarser slices and pixels where they are, given noise there, and brought back linearly."""
    steps = [max(mm / SPACING_MM, 1.0) for mm in (slice_mm, pixel_mm, pixel_mm)]
    for axis, step in enumerate(steps):
        if step > 1:
            hu = ndimage.gaussian_filter1d(hu, 0.36 * step, axis=axis)
    places = [np.arange(0, n - 1 + step, step).clip(max=n - 1) for n, step in zip(hu.shape, steps, strict=True)]
    for axis, place in enumerate(places):
        hu = _between(hu, place, axis)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    blur = rng.uniform(0, 0.7)
    if blur > 0.25:
        noise = ndimage.gaussian_filter(noise, (0, blur, blur))
        noise /= noise.std()
    hu = hu + np.float32(noise_hu) * noise
    for axis, (n, step) in enumerate(zip((len(p) for p in places), steps, strict=True)):
        hu = _between(hu, (np.arange(round(float(places[axis][-1])) + 1) / step).clip(max=n - 1), axis)
    return hu


def _between(values: Array, at: npt.NDArray[np.float64], axis: int) -> Array:
    """Linear between the points along one axis."""
    lower = np.minimum(np.floor(at).astype(int), max(values.shape[axis] - 2, 0))
    if np.array_equal(at, np.arange(values.shape[axis])):
        return values
    share = (at - lower).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    low, high = np.take(values, lower, axis=axis), np.take(values, np.minimum(lower + 1, values.shape[axis] - 1), axis=axis)
    return np.asarray(low + share * (high - low))
