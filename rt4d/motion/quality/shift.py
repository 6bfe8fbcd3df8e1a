"""The shift that would still match two images better: what remains of a misalignment, in mm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry

SEARCH_MM = 8.0
"""The largest remaining shift that is looked for; one at this limit may be larger."""

Array = npt.NDArray[np.float32]


def remaining_shift_mm(reference: Array, pulled: Array, where: npt.NDArray[np.bool_], geometry: Geometry) -> Floats:
    """The shift, along the voxel axes x y z in mm, by which `pulled` looks most like `reference` within the mask `where`; finer than a voxel.

    It is the highest normalised cross-correlation of all whole-voxel shifts up to SEARCH_MM (by FFT; Padfield 2012), made finer by a parabola
    along each axis. Zero where the image is so even that no shift is better than another.
    """
    reach = np.array([int(np.ceil(SEARCH_MM / spacing)) for spacing in geometry.spacing_mm[::-1]])
    score = _scores(reference, pulled, where, reach)
    if not np.isfinite(score).any() or float(np.nanmax(score)) <= 0:
        return np.zeros(3)
    best = np.array(np.unravel_index(np.nanargmax(score), score.shape))
    fine = best - reach + [vertex(score, best, axis) for axis in range(3)]
    return np.asarray(fine[::-1] * geometry.spacing_mm)


def _scores(reference: Array, pulled: Array, where: npt.NDArray[np.bool_], reach: npt.NDArray[np.int_]) -> Floats:
    """Normalised cross-correlation at all shifts up to `reach` voxels either way, shape 2 × reach + 1 (z y x)."""
    from scipy import fft

    pad = [(int(r), int(r)) for r in reach]
    inside = np.pad(where, pad).astype(np.float64)
    template = np.pad(np.where(where, reference - reference[where].mean(), 0.0), pad)
    image = np.pad(pulled.astype(np.float64) - float(pulled[where].mean()), pad, mode="edge")
    shape = [fft.next_fast_len(n, real=True) for n in image.shape]
    transformed = fft.rfftn(image, shape), fft.rfftn(image**2, shape)

    def slide(kernel: Floats, over: npt.NDArray[np.complex128]) -> Floats:
        all_shifts = fft.irfftn(np.conj(fft.rfftn(kernel, shape)) * over, shape)
        window = [np.arange(-r, r + 1) % n for r, n in zip(reach, shape, strict=True)]
        return np.asarray(all_shifts[np.ix_(*window)])

    variance = slide(inside, transformed[1]) - slide(inside, transformed[0]) ** 2 / inside.sum()
    spread = np.sqrt(np.clip(variance, 0, None) * (template**2).sum())
    return np.where(spread > 1e-3, slide(template, transformed[0]) / np.maximum(spread, 1e-3), np.nan)


def vertex(score: Floats, best: npt.NDArray[np.int_], axis: int) -> float:
    """How far, of a voxel, the top of the parabola through a maximum and its neighbours lies from it; 0 at the end of the search."""
    if not 0 < best[axis] < score.shape[axis] - 1:
        return 0.0
    step = np.eye(3, dtype=int)[axis]
    low, mid, high = (score[tuple(best + k * step)] for k in (-1, 0, 1))
    curvature = low - 2 * mid + high
    return float((low - high) / (2 * curvature)) if np.isfinite(curvature) and curvature < 0 else 0.0
