"""Where the target lies in a phase, as a rigid whole: what a registration begins with.

An optimiser that walks downhill from no motion at all finds a small tumour only while it still overlaps itself in coarse images; one that
has moved by twice its size is lost to the diaphragm. So the target and its rim are first laid over the phase at every shift there can be.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats
from rt4d.motion.jobs import averaged
from rt4d.volumes import Mask, Volume

RIM_MM = 8.0
"""So much of what surrounds the target is looked for with it: its outline, little of a wall that it slides along."""
COARSE_MM = 3.0
"""Voxels smaller than this are averaged: the registration makes the shift finer."""
DOUBT = 0.05
"""Another place must be better by so much, of correlation, for the whole reach; for a part of it by that part."""

ENOUGH = 0.5
"""Less correlation than this finds nothing: noise alone reaches 0.3 somewhere."""

Array = npt.NDArray[np.float32]


def target_shift_mm(reference: Volume, phase: Volume, target: Mask, *, reach_mm: float, clip_hu: tuple[float, float]) -> Floats:
    """The shift along the voxel axes x y z, in mm, whole (averaged) voxels, at which the phase looks most like the target and its rim.

    All three on one grid. At most `reach_mm` along each axis; zero where nowhere else is clearly better, or nothing looks like it.
    """
    from scipy import ndimage

    box = target.box(RIM_MM + reach_mm)
    by = [max(1, round(COARSE_MM / spacing)) for spacing in target.geometry.spacing_mm]
    here, there = (averaged(np.clip(image.crop(*box).hu, *clip_hu).astype(np.float32), by) for image in (reference, phase))
    inside = averaged(target.crop(*box).inside.astype(np.float32), by) >= 0.5
    if not inside.any():
        return np.zeros(3)
    spacing = np.array(target.geometry.spacing_mm)[::-1] * by[::-1]
    where = ndimage.distance_transform_edt(~inside, sampling=spacing) <= RIM_MM
    reach = np.floor(reach_mm / spacing).astype(int)
    shifts = np.meshgrid(*(np.arange(-r, r + 1) * step for r, step in zip(reach, spacing, strict=True)), indexing="ij")
    far = np.linalg.norm(shifts, axis=0) / max(reach_mm, 1.0)
    likeness = np.nan_to_num(correlations(here, there, where, reach), nan=-1.0)
    best = np.unravel_index(np.argmax(likeness - DOUBT * far), likeness.shape)
    return np.asarray((np.array(best) - reach) * spacing)[::-1] if likeness[best] >= ENOUGH else np.zeros(3)


def correlations(reference: Array, image: Array, where: npt.NDArray[np.bool_], reach: npt.NDArray[np.int_]) -> Floats:
    """Normalised cross-correlation of `reference` within the mask and `image` at all shifts up to `reach` voxels either way (by FFT; Padfield 2012).

    Shape 2 × reach + 1 (z y x); NaN where the image is even.
    """
    from scipy import fft

    pad = [(int(r), int(r)) for r in reach]
    inside = np.pad(where, pad).astype(np.float64)
    template = np.pad(np.where(where, reference - reference[where].mean(), 0.0), pad)
    padded = np.pad(image.astype(np.float64) - float(image[where].mean()), pad, mode="edge")
    shape = [fft.next_fast_len(n, real=True) for n in padded.shape]
    transformed = fft.rfftn(padded, shape), fft.rfftn(padded**2, shape)

    def slide(kernel: Floats, over: npt.NDArray[np.complex128]) -> Floats:
        all_shifts = fft.irfftn(np.conj(fft.rfftn(kernel, shape)) * over, shape)
        window = [np.arange(-r, r + 1) % n for r, n in zip(reach, shape, strict=True)]
        return np.asarray(all_shifts[np.ix_(*window)])

    variance = slide(inside, transformed[1]) - slide(inside, transformed[0]) ** 2 / inside.sum()
    spread = np.sqrt(np.clip(variance, 0, None) * (template**2).sum())
    return np.where(spread > 1e-3, slide(template, transformed[0]) / np.maximum(spread, 1e-3), np.nan)
