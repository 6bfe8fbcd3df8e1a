"""Whether the registration of each phase may be trusted around the target: figures, limits and verdicts (after AAPM TG-132).

No check asks the registration how well it did: images are compared afresh, and where they disagree by a shift, the shift is measured.
The limits stand in the recipe, their sources in its README.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats, Geometry
from rt4d.motion.motion import Motion
from rt4d.phases import FourDCT
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask, Volume

AROUND_MM = 12.0
"""How far around the target images are compared and the field is looked at."""
EDGE_MM = 5.0
"""How far around the target the remaining shift is measured: enough for its outline, little of what slides past it."""
SEARCH_MM = 8.0
"""The largest remaining shift that is looked for; one at this limit may be larger."""
SAMPLE_MM = 2.0
"""Voxels smaller than this are passed over, every second or third being enough to compare images."""
ENOUGH_POINTS = 20_000
"""Of a large target no more points than about this are asked for their Jacobian and their way back."""
WORSE_BY = 0.02
"""By so much similarity may drop, where there was next to no motion, before the registration counts as having made things worse."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of one phase against its limit; `sentence` says it in words. value and limit are None where there is nothing to measure."""

    phase: str
    name: str
    value: float | None
    limit: float | None
    verdict: Literal["pass", "fail"]
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The target and its surroundings on the reference phase: sample points, the image there, and the distance from the target's surface."""

    mask: Mask
    box: tuple[tuple[int, int, int], tuple[int, int, int]]
    step: tuple[int, int, int]
    points_mm: Floats
    hu: Array
    distance_mm: Array
    geometry: Geometry
    hu_inside: float


def checks(motion: Motion, ct: FourDCT, mask: Mask, *, masks: Mapping[str, Mask] | None = None) -> tuple[Check, ...]:
    """The checks of every phase but the reference around `mask` (the target on the reference phase), in the order of the cycle.

    masks: the target as carried to each phase, where it is at hand already (`motion.carry(mask)`).
    A phase whose registration failed has the one check 'registration', with verdict 'fail'.
    """
    if mask.is_empty:
        raise InputError("An empty mask has no surroundings to check")
    near = _surroundings(motion, ct.reference.volume, mask)
    carried = motion.carry(mask) if masks is None else masks
    found: list[Check] = []
    for label in motion.labels:
        if label in motion.failed:
            why = f"Phase {label} could not be registered and is left out: {motion.failed[label]}"
            found.append(Check(label, "registration", None, None, "fail", why))
        elif label in motion.fields:
            found += _of_the_field(motion, label, mask) + _of_the_images(motion, label, ct[label].volume, near, carried[label])
    return tuple(found)


def _of_the_field(motion: Motion, label: str, mask: Mask) -> list[Check]:
    """Folding, the target's change of volume, and whether its points find their way back."""
    limits = motion.recipe.limits
    field = motion.fields[label].crop(*motion.region.box_around(mask.points_mm, AROUND_MM))
    jacobian = field.jacobian()
    folded = 100 * float(np.mean(jacobian <= 0))
    points = _some(mask.points_mm)
    change = 100 * (float(_look_up(jacobian, field.geometry, points).mean()) - 1)
    moved = motion.reference_to_phase(label, points)
    residual = float(np.linalg.norm(motion.fields[label].inverse(moved)[0] - points, axis=-1).max())
    return [
        limited(label, "jacobian_nonpositive_percent", folded, limits.jacobian_nonpositive_percent, "{:.2f} % of the field there is folded"),
        limited(label, "gtv_volume_change_percent", change, limits.gtv_volume_change_percent, "the target's volume changes by {:+.1f} %"),
        limited(label, "inverse_residual_mm", residual, limits.inverse_residual_mm, "points of the target come back within {:.2f} mm"),
    ]


def _of_the_images(motion: Motion, label: str, phase: Volume, near: Surroundings, carried: Mask) -> list[Check]:
    """Similarity, the target's Hounsfield units, and the shift that remains, of the phase pulled back to the reference."""
    limits = motion.recipe.limits
    pulled = _look_up(phase.hu, phase.geometry, motion.reference_to_phase(label, near.points_mm))
    unmoved = phase.hu[_slices(near)].astype(np.float32)
    around, edge = (near.distance_mm < limit for limit in (AROUND_MM, EDGE_MM))
    before, after = (correlation(near.hu[around], image[around]) for image in (unmoved, pulled))
    change = float("nan") if carried.is_empty else float(phase.hu[carried.inside].mean()) - near.hu_inside
    shift = remaining_shift_mm(near.hu, pulled, edge, near.geometry)
    length = float(np.linalg.norm(shift))
    x, y, z = near.geometry.matrix @ shift
    where = f" (x {x:+.1f}, y {y:+.1f}, z {z:+.1f} mm)"
    return [
        similar(label, before, after, limits.similarity),
        limited(label, "gtv_mean_hu_change", change, limits.gtv_mean_hu_change + _rim_hu(near), "the mean inside the target changes by {:+.0f} HU"),
        limited(label, "residual_shift_mm", length, limits.residual_shift_mm, "a shift of {:.1f} mm would still match the target better" + where),
    ]


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
    fine = best - reach + [_vertex(score, best, axis) for axis in range(3)]
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


def _vertex(score: Floats, best: npt.NDArray[np.int_], axis: int) -> float:
    """How far, of a voxel, the top of the parabola through a maximum and its neighbours lies from it; 0 at the end of the search."""
    if not 0 < best[axis] < score.shape[axis] - 1:
        return 0.0
    step = np.eye(3, dtype=int)[axis]
    low, mid, high = (score[tuple(best + k * step)] for k in (-1, 0, 1))
    curvature = low - 2 * mid + high
    return float((low - high) / (2 * curvature)) if np.isfinite(curvature) and curvature < 0 else 0.0


def _surroundings(motion: Motion, reference: Volume, mask: Mask) -> Surroundings:
    """The sample points around the target, within what was registered."""
    corners = motion.region.to_patient(np.array([(0, 0, 0), np.array(motion.region.size) - 1], dtype=float))
    known, extent = reference.geometry.box_around(corners)
    wanted, size = mask.box(AROUND_MM + SEARCH_MM)
    start = [max(a, b) for a, b in zip(known, wanted, strict=True)]
    stop = [min(a + n, b + m) for a, n, b, m in zip(known, extent, wanted, size, strict=True)]
    box = (start[0], start[1], start[2]), (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    sx, sy, sz = (max(1, round(SAMPLE_MM / spacing)) for spacing in mask.geometry.spacing_mm)
    crop = mask.crop(*box)
    hu_inside = float(reference.hu[mask.inside].mean())
    every = slice(None, None, sz), slice(None, None, sy), slice(None, None, sx)
    hu = reference.crop(*box).hu[every].astype(np.float32)
    dx, dy, dz = (float(v) for v in np.array(mask.geometry.spacing_mm) * (sx, sy, sz))
    z, y, x = hu.shape
    geometry = Geometry((x, y, z), (dx, dy, dz), crop.geometry.origin_mm, crop.geometry.direction, crop.geometry.frame_of_reference)
    return Surroundings(mask, box, (sx, sy, sz), geometry.centres(), hu, signed_distance_mm(crop)[every], geometry, hu_inside)


def _some(points_mm: Floats) -> Floats:
    """Evenly many of a long list of points: enough for a mean and a worst case."""
    return points_mm[:: max(1, len(points_mm) // ENOUGH_POINTS)]


def _rim_hu(near: Surroundings) -> float:
    """How far coarse voxels alone may change the mean inside: the contrast to the surroundings, times a quarter of a voxel over the radius."""
    target = near.distance_mm < 0
    contrast = abs(float(near.hu[target].mean() - near.hu[~target & (near.distance_mm < AROUND_MM)].mean()))
    radius_mm = float(np.cbrt(3 * 1000 * near.mask.volume_cm3 / (4 * np.pi)))
    return contrast * float(np.mean(near.mask.geometry.spacing_mm)) / (4 * radius_mm)


def _slices(near: Surroundings) -> tuple[slice, ...]:
    """What of a whole array lies at the sample points."""
    return tuple(slice(a, a + n, step) for a, n, step in zip(*(triple[::-1] for triple in (*near.box, near.step)), strict=True))


def _look_up(array: npt.NDArray[np.generic], geometry: Geometry, points_mm: Floats) -> Array:
    from scipy import ndimage

    index = np.moveaxis(geometry.to_index(points_mm), -1, 0)[::-1]
    return np.asarray(ndimage.map_coordinates(array, index, order=1, mode="nearest", output=np.float32))


def correlation(a: Array, b: Array) -> float:
    """Normalised cross-correlation (Pearson's); 0 where either is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64)) / size if size > 0 else 0.0


def similar(label: str, before: float, after: float, limit: float, *, where: str = "around the target") -> Check:
    """The similarity before and after; it must reach the limit, and not have become worse."""
    good = after >= limit and after >= before - WORSE_BY
    said = f"{_of(label)}similarity {where} {after:.3f}, {before:.3f} before registration (limit {limit:g}, and no worse than before)"
    return Check(label, "similarity", after, limit, "pass" if good else "fail", said)


def limited(label: str, name: str, value: float, limit: float, words: str) -> Check:
    """A figure whose size must not exceed the limit; one that is not a number fails."""
    good = abs(value) <= limit
    return Check(label, name, value, limit, "pass" if good else "fail", f"{_of(label)}{words.format(value)} (limit {limit:.3g})")


def _of(label: str) -> str:
    """How a sentence begins: with the phase, where there is one."""
    return f"Phase {label}: " if label else ""
