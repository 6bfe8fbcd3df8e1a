"""The shift that would still match two images better: what remains of a misalignment, in mm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.motion.searching import correlations

SEARCH_MM = 8.0
"""The largest remaining shift that is looked for; one at this limit may be larger."""

Array = npt.NDArray[np.float32]


def remaining_shift_mm(reference: Array, pulled: Array, where: npt.NDArray[np.bool_], geometry: Geometry) -> Floats:
    """The shift, along the voxel axes x y z in mm, by which `pulled` looks most like `reference` within the mask `where`; finer than a voxel.

    It is the highest normalised cross-correlation of all whole-voxel shifts up to SEARCH_MM (by FFT; Padfield 2012), made finer by a parabola
    along each axis. Zero where the image is so even that no shift is better than another.
    """
    reach = np.array([int(np.ceil(SEARCH_MM / spacing)) for spacing in geometry.spacing_mm[::-1]])
    score = correlations(reference, pulled, where, reach)
    if not np.isfinite(score).any() or float(np.nanmax(score)) <= 0:
        return np.zeros(3)
    best = np.array(np.unravel_index(np.nanargmax(score), score.shape))
    fine = best - reach + [vertex(score, best, axis) for axis in range(3)]
    return np.asarray(fine[::-1] * geometry.spacing_mm)


def vertex(score: Floats, best: npt.NDArray[np.int_], axis: int) -> float:
    """How far, of a voxel, the top of the parabola through a maximum and its neighbours lies from it; 0 at the end of the search."""
    if not 0 < best[axis] < score.shape[axis] - 1:
        return 0.0
    step = np.eye(3, dtype=int)[axis]
    low, mid, high = (score[tuple(best + k * step)] for k in (-1, 0, 1))
    curvature = low - 2 * mid + high
    return float((low - high) / (2 * curvature)) if np.isfinite(curvature) and curvature < 0 else 0.0
