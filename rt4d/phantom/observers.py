"""Generated observers: a phantom's tumour drawn by somebody whose hand is not quite steady, who draws too small, or too large."""

from __future__ import annotations

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.phantom.case import Phantom
from rt4d.phantom.soft import Array
from rt4d.volumes import Mask

WAVES = 24
WAVELENGTHS_MM = (20.0, 60.0)
"""Contours of several physicians differ over a few centimetres at a time: bulges, not the noise of single voxels."""


def redraw(phantom: Phantom, label: str, *, spread_mm: float, larger_mm: float = 0.0, seed: int, tumour: int = 0) -> Mask:
    """A phantom's tumour in a phase as an observer draws it, on the 4D-CT's grid: the true surface moved outwards by a smooth random distance.

    larger_mm: the mean of that distance (negative: too small); spread_mm: its standard deviation. The same seed makes the same mistakes in every
    phase, where they move with the tumour. A small tumour drawn too small may vanish, so that the mask is empty.
    """
    if not (np.isfinite(larger_mm) and np.isfinite(spread_mm) and spread_mm >= 0):
        raise InputError("An observer has a spread, in mm", expected="0 or more, and a finite distance", found=f"{spread_mm:g}, {larger_mm:g} mm")
    target, geometry = phantom.targets[tumour], phantom.ct.geometry
    around = max(larger_mm, 0.0) + 4 * spread_mm + 4.0 + max(geometry.spacing_mm)
    start, size = geometry.box_around(phantom.motion.push(label, target.shell_points_mm()), around)
    back = phantom.motion.pull_back(label, *np.moveaxis(geometry.crop(start, size).centres(), -1, 0))
    inside = np.zeros(geometry.shape, dtype=bool)
    (x, y, z), (nx, ny, nz) = start, size
    inside[z : z + nz, y : y + ny, x : x + nx] = target.distance_mm(*back) < larger_mm + spread_mm * _bulges(back, seed)
    return Mask(inside, geometry)


def _bulges(points: tuple[Array, Array, Array], seed: int) -> Floats:
    """A smooth random field of mean 0 and standard deviation 1: plane waves in random directions."""
    random = np.random.default_rng([seed, 23])
    towards = random.normal(size=(WAVES, 3))
    towards *= 2 * np.pi / random.uniform(*WAVELENGTHS_MM, size=(WAVES, 1)) / np.linalg.norm(towards, axis=1, keepdims=True)
    shifts = random.uniform(0, 2 * np.pi, size=WAVES)
    waves = (np.cos(points[0] * a + points[1] * b + points[2] * c + shift) for (a, b, c), shift in zip(towards, shifts, strict=True))
    return np.asarray(sum(waves) * np.sqrt(2 / WAVES), dtype=float)
