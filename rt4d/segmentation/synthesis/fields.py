"""Smooth random fields: the chance behind warps, textures, outlines and densities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Triple

Array = npt.NDArray[np.float32]
Shape3 = tuple[int, ...]

SPREAD = 0.4794
"""The mean of the summed squares of the four weights of a cubic B-spline: what interpolation leaves of the coefficients' variance, per axis."""


def smooth_noise(shape: Shape3, spacing_mm: float, grain_mm: float | Triple, rng: np.random.Generator) -> Array:
    """Noise of mean 0 and standard deviation 1 (over many draws) whose grains are about `grain_mm` (x y z) wide, shape z y x.

    A cubic B-spline through random coefficients `grain_mm` apart: twice differentiable, and its cost hardly depends on the grain.
    """
    grains = np.broadcast_to(np.asarray(grain_mm, dtype=float), 3)[::-1]
    weights = [_spline_weights(n, spacing_mm / grain, rng.random()) for n, grain in zip(shape, grains, strict=True)]
    values = rng.standard_normal(tuple(w.shape[1] for w in weights), dtype=np.float32)
    for axis, weight in enumerate(weights):
        values = np.moveaxis(np.tensordot(weight, values, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(values / np.float32(SPREAD**1.5))


def grain(shape: Shape3, sigma_voxels: float | tuple[float, float, float], rng: np.random.Generator) -> Array:
    """White noise blurred by a Gaussian (z y x), again of standard deviation 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    blurred = ndimage.gaussian_filter(noise, sigma_voxels, mode="wrap")
    return np.asarray(blurred / max(float(blurred.std()), 1e-6), dtype=np.float32)


def rotation(rng: np.random.Generator, largest_degrees: float) -> npt.NDArray[np.float64]:
    """A rotation about a random axis by up to so many degrees, 3×3."""
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(rng.uniform(-largest_degrees, largest_degrees))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between both whose logarithm is equally likely everywhere."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _spline_weights(n: int, step: float, shift: float) -> Array:
    """The weights of the coefficients at each of n points, `step` grains apart, shape (n, coefficients)."""
    at = np.arange(n) * step + shift
    cell = np.floor(at).astype(int)
    t = at - cell
    taps = (1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6, t**3 / 6
    weights = np.zeros((n, int(cell[-1]) + 4), dtype=np.float32)
    for k, tap in enumerate(taps):
        weights[np.arange(n), cell + k] = tap
    return weights
